"""What small Flask applications do."""

import hashlib
import io

from flask import (
    Flask,
    Response,
    abort,
    jsonify,
    redirect,
    render_template_string,
    request,
    send_file,
    session,
    stream_with_context,
    url_for,
)

app = Flask(__name__)
app.secret_key = "only for tests"


@app.route("/")
def index():
    return render_template_string(
        "{{ name }} {{ url_for('greet', name='x y') }}", name="Flask"
    )


@app.route("/greet/<name>")
def greet(name):
    return "Hello, %s, of %s" % (name, request.args.get("from", "nowhere"))


@app.route("/form", methods=["POST"])
def form():
    return jsonify(request.form.to_dict())


@app.route("/json", methods=["POST"])
def json():
    return jsonify(sum=sum(request.get_json()["numbers"]), base=request.url_root)


@app.route("/upload", methods=["POST"])
def upload():
    file = request.files["file"]
    return jsonify(name=file.filename, digest=hashlib.sha256(file.read()).hexdigest())


@app.route("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@app.route("/stream")
def stream():
    @stream_with_context
    def lines():
        for number in range(1000):
            yield "%d %s\n" % (number, request.path)

    return Response(lines(), mimetype="text/plain")


@app.route("/file")
def file():
    return send_file(__file__, mimetype="text/plain", conditional=True)


@app.route("/memory")
def memory():
    return send_file(io.BytesIO(b"in memory"), mimetype="text/plain")


@app.route("/away")
def away():
    return redirect(url_for("index"))


@app.route("/empty", methods=["DELETE"])
def empty():
    return "", 204


@app.route("/refuse")
def refuse():
    abort(403)


@app.route("/broken")
def broken():
    return 1 // 0


@app.errorhandler(404)
def missing(error):
    return "nothing at " + request.path, 404
