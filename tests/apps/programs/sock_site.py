"""Flask-Sock: a web socket that sends back what it hears."""

from flask import Flask, g
from flask_sock import Sock

app = Flask(__name__)
sock = Sock(app)


@app.get("/")
def home():
    """Say something over plain HTTP."""
    return "home"


@sock.route("/echo")
def echo(ws):
    """Count the texts until the other side closes."""
    g.texts = 0
    while True:
        text = ws.receive()
        g.texts += 1
        ws.send(f"{g.texts}: {text}")
