"""Two applications behind one WSGI callable, as one server runs them."""

from __future__ import annotations

import os

from flask import Flask, g
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_chest_otel import FlaskChest, TrackedVar


def _made(name: str) -> Flask:
    made = Flask(name)
    variables = [TrackedVar("number", metric=None), TrackedVar("amount", metric="counter")]
    FlaskChest(made, tracked_vars=variables, export="otlp")

    @made.get("/buy/<int:number>")
    def buy(number: int) -> str:
        g.number, g.amount = number, 1
        return str(os.getpid())

    return made


one, two = _made("one"), _made("two")
app = DispatcherMiddleware(one.wsgi_app, {"/two": two})

if os.environ.get("FAULT_WARM_UP", "late") != "late":
    for warm in range(5):
        two.test_client().get(f"/buy/{1_000_000 + warm}")
