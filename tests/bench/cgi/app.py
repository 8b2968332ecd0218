"""A page of Flask and Jinja2, as a small site has it: a table from a list."""

import flask

app = flask.Flask(__name__)

PAGE = """<!doctype html>
<title>{{ title }}</title>
<h1>{{ title }}</h1>
<table>
{% for row in rows %}<tr><td>{{ row.name }}</td><td>{{ row.size }}</td></tr>
{% endfor %}</table>
<p>{{ request.args.get("note", "nothing to note") }}</p>
"""


@app.route("/", defaults={"rest": ""})
@app.route("/<path:rest>")
def index(rest):
    rows = [{"name": f"file {n} & co", "size": n * n} for n in range(100)]
    return flask.render_template_string(PAGE, title="Files", rows=rows, rest=rest)
