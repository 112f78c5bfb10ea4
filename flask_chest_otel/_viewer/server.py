"""The server of ``flask chest serve``: a small Flask application that only this machine can reach."""

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
    """Writes no line per request, so that the link stays in sight."""

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Write nothing."""


def viewer_server(source: Source, port: int, on_used: Callable[[str], None]) -> tuple[BaseWSGIServer, str]:
    """Make a server, which listens but does not serve yet, and the link that lets one browser in.

    Args:
        source: Where the pages get their data from.
        port: The port to listen on; 0: a free one.
        on_used: Called with the next link whenever a link was used.

    Raises:
        OSError: Another program listens on the port.
    """
    listening = socket.create_server((HOST, port))
    port = listening.getsockname()[1]
    door = Door(port, on_used)
    server = make_server(
        HOST, port, make_app(source, door), threaded=True, request_handler=_Quiet, fd=listening.detach()
    )
    return server, door.link


def make_app(source: Source, door: Door) -> Flask:
    """Make the application whose pages ``door`` guards."""
    app = Flask(__name__, static_folder=None)
    # Under opentelemetry-instrument, requests to this page would else be recorded among those that it shows.
    app.config["FLASK_CHEST_ENABLED"] = False
    app.register_blueprint(make_blueprint(source))
    app.context_processor(looks.words)
    app.before_request(door.check)
    app.after_request(harden)
    app.register_error_handler(404, _nothing_there)
    return app


def _nothing_there(_error: Exception) -> tuple[str, int]:
    return render_template("chest/missing.html", page="", given=read_filter({})), 404
