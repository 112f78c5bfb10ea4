"""Flask-SocketIO: an event that is answered; the environment says in which mode."""

import os

from flask import Flask, g
from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app, async_mode=os.environ["MODE"])


@app.get("/")
def home():
    """Say something over plain HTTP."""
    g.pieces = 1
    return "home"


@socketio.on("order")
def order(pieces):
    """Answer an event."""
    g.pieces = pieces
    socketio.emit("ordered", pieces * 2)


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), allow_unsafe_werkzeug=True)
