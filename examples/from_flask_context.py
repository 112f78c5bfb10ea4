"""An application of Flask-Context, moved: its fields are on spans now, and reach other services."""

from __future__ import annotations

import uuid

from flask import Flask

from flask_chest_otel import FlaskChest, TrackedVar, current_context


class MyContext:
    """What a request is about, as it was."""

    def __init__(self, correlation_id: str | None = None) -> None:
        self.correlation_id = correlation_id or uuid.uuid4().hex
        self.user_id: str | None = None


app = Flask(__name__)
chest = FlaskChest[MyContext](
    app,
    context=MyContext,
    tracked_vars=[TrackedVar("correlation_id", attribute="correlation.id"), TrackedVar("user_id", attribute="user.id")],
    propagate=["correlation_id"],
)


def log_in() -> None:
    """Somewhere else in the program: the proxy leads to the same object."""
    current_context.user_id = "u1"


@app.route("/")
def index() -> str:
    """Answer with the id that ties the work of several services together."""
    log_in()
    return chest.context.correlation_id
