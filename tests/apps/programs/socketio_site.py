"""Flask-SocketIO: events that are answered, and some that are not; the environment says in which mode."""

import os

from flask import Flask, g
from flask_socketio import SocketIO, emit
from socketio import exceptions as socketio_exceptions

app = Flask(__name__)
socketio = SocketIO(app, async_mode=os.environ["MODE"])


@app.get("/")
def home():
    """Say something over plain HTTP."""
    g.pieces = 1
    return "home"


@socketio.on("connect")
def come():
    """See a client come; it takes no arguments."""
    g.pieces = 0


@socketio.on("disconnect")
def leave():
    """See it go; it takes no reason."""
    g.pieces = 9


@socketio.on("order")
def order(pieces):
    """Answer an event, by another event and by an acknowledgement."""
    g.pieces = pieces
    app.logger.warning("ordered %s", pieces)
    emit("ordered", pieces * 2)
    return pieces * 3


@socketio.on("broken")
def broken():
    """Raise, and nobody answers."""
    g.pieces = 5
    raise LookupError("sold out")


@socketio.on("question")
def question():
    """Ask the client something, and take its answer."""
    emit("asked", callback=answered)


def answered(pieces):
    """Take what the client has answered."""
    g.pieces = pieces
    socketio.emit("thanks")


@socketio.on("*")
def other(name, *_args):
    """Answer events that have no handler."""
    return name


@socketio.on("connect", namespace="/closed")
def refuse(auth):
    """Let nobody in."""
    raise socketio_exceptions.ConnectionRefusedError(f"no token in {auth}")


@socketio.on("order", namespace="/lenient")
def lenient():
    """Raise, and be answered for."""
    raise LookupError("sold out")


@socketio.on_error("/lenient")
def forgive(error):
    """Answer what was raised."""
    return f"sorry: {error}"


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), allow_unsafe_werkzeug=True)
