def draw_all(figures, directory):
    return []
