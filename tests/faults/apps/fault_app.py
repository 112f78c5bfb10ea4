"""The application that is served while things break: each request leaves one numbered span and counts one."""

from __future__ import annotations

import os
import signal

from flask import Flask, g

from flask_chest_otel import FlaskChest, TrackedVar

app = Flask("faulty")
FlaskChest(app, tracked_vars=[TrackedVar("number", metric=None), TrackedVar("amount", metric="counter")], export="otlp")


@app.get("/buy/<int:number>")
def buy(number: int) -> str:
    g.number = number
    g.amount = 1
    return str(os.getpid())


@app.get("/die")
def die() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


if "FAULT_WARM_UP" in os.environ:
    # Served before the server forks: providers, threads and sums are there then.
    for warm in range(5):
        app.test_client().get(f"/buy/{1_000_000 + warm}")
