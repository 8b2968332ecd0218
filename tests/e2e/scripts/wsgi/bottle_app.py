"""What small Bottle applications do."""

import hashlib
import os

import bottle

application = bottle.Bottle()


@application.route("/")
def index():
    return bottle.template("Bottle at {{path}}", path=bottle.request.fullpath)


@application.route("/greet/<name>")
def greet(name):
    return {"name": name, "query": bottle.request.query.q}


@application.post("/upload")
def upload():
    file = bottle.request.files.file
    return hashlib.sha256(file.file.read()).hexdigest()


@application.route("/static/<name>")
def static(name):
    return bottle.static_file(name, root=os.path.dirname(__file__))


@application.route("/cookie")
def cookie():
    count = bottle.request.get_cookie("count", secret="only for tests") or 0
    bottle.response.set_cookie("count", count + 1, secret="only for tests")
    return str(count + 1)


@application.route("/lines")
def lines():
    bottle.response.content_type = "text/plain"
    for number in range(1000):
        yield "%d\n" % number


@application.route("/refuse")
def refuse():
    bottle.abort(418, "a teapot")


@application.route("/broken")
def broken():
    return 1 // 0
