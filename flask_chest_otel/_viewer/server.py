"""The server behind ``flask chest serve``: a small application of its own, on this machine alone."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from flask import Flask, render_template
from werkzeug.serving import WSGIRequestHandler, make_server

from flask_chest_otel._viewer import looks
from flask_chest_otel._viewer.door import Door, harden
from flask_chest_otel._viewer.filters import read_filter
from flask_chest_otel._viewer.pages import make_blueprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.serving import BaseWSGIServer

    from flask_chest_otel._viewer.pages import Source

__all__ = ["HOST", "make_app", "viewer_server"]

HOST = "127.0.0.1"


class _Quiet(WSGIRequestHandler):
    """Serves without a line per request: the terminal shows the link."""

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""


def viewer_server(source: Source, port: int, on_used: Callable[[str], None]) -> tuple[BaseWSGIServer, str]:
    """A server that is bound but not yet serving, and the link that lets one browser in.

    Args:
        source: What is shown.
        port: Where it listens; 0: a free one.
        on_used: Told of the next link whenever one was used.

    Raises:
        OSError: The port is taken.
    """
    listening = socket.create_server((HOST, port))
    port = listening.getsockname()[1]
    door = Door(port, on_used)
    server = make_server(
        HOST, port, make_app(source, door), threaded=True, request_handler=_Quiet, fd=listening.detach()
    )
    return server, door.link


def make_app(source: Source, door: Door) -> Flask:
    """The application behind the door."""
    app = Flask(__name__, static_folder=None)
    # Nobody wants requests to this page among those that it shows, nor among the traces of zero code.
    app.config["FLASK_CHEST_ENABLED"] = False
    app.register_blueprint(make_blueprint(source))
    app.context_processor(looks.words)
    app.before_request(door.check)
    app.after_request(harden)
    app.register_error_handler(404, _nothing_there)
    return app


def _nothing_there(_error: Exception) -> tuple[str, int]:
    return render_template("chest/missing.html", page="", given=read_filter({})), 404
