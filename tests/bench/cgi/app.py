"""A page of Flask and Jinja2, as a small site has it: a table from a list."""

import flask

app = flask.Flask(__name__)

# Compiled here, once for each process, and not by render_template_string in
# each request: that would hide what starting costs behind what Jinja costs,
# and whoever has a process wait with the application imports everything ahead.
PAGE = app.jinja_env.from_string(
    """<!doctype html>
<title>{{ title }}</title>
<h1>{{ title }}</h1>
<table>
{% for row in rows %}<tr><td>{{ row.name }}</td><td>{{ row.size }}</td></tr>
{% endfor %}</table>
<p>{{ request.args.get("note", "nothing to note") }}</p>
"""
)


@app.route("/", defaults={"rest": ""})
@app.route("/<path:rest>")
def index(rest):
    rows = [{"name": f"file {n} & co", "size": n * n} for n in range(100)]
    return flask.render_template(PAGE, title="Files", rows=rows, rest=rest)
