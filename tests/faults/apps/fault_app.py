"""The application that is served while things break: each request leaves one numbered span and counts one."""

from __future__ import annotations

import os
import signal
import time

from flask import Flask, g

from flask_chest_otel import FlaskChest, TrackedVar

app = Flask("faulty", instance_path=os.environ.get("FAULT_INSTANCE"))
variables = [TrackedVar("number", metric=None), TrackedVar("amount", metric="counter")]
app.config["FLASK_CHEST_EXPORT"] = os.environ.get("FAULT_EXPORT", "otlp")
FlaskChest(app, tracked_vars=variables)


@app.get("/buy/<int:number>")
def buy(number: int) -> str:
    g.number = number
    g.amount = 1
    return str(os.getpid())


@app.get("/die")
def die() -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@app.get("/step/<int:seconds>")
def step(seconds: int) -> str:
    # For everything in this process, as if somebody had set the clock back.
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() - seconds
    time.time_ns = lambda: now_ns() - seconds * 10**9
    return "stepped"


def warm_up() -> None:
    """Serve before the server forks: providers, threads and sums are there then."""
    for warm in range(5):
        app.test_client().get(f"/buy/{1_000_000 + warm}")


if os.environ.get("FAULT_WARM_UP", "late") != "late":
    warm_up()
