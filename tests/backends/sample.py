"""The sample application of Flask-Chest under gunicorn, with routes for one target alone beside its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from flask import Flask, g
from opentelemetry import trace

from flask_chest_otel import flask_chest
from tests.backends.require import REPOSITORY
from tests.backends.server import Server, free_port, request
from tests.backends.shop import EXPORT_SOON

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

DESTINATIONS = {"/influx": ["influxdb"], "/signal": ["signalfx"], "/open": None}
"""What the routes name; `/api-endpoint`, the sample's own, names both."""


def create_app() -> Flask:
    """Return the sample application with further routes, each of which has a child span."""
    from examples.from_flask_chest import app  # noqa: PLC0415 - one per process

    for route, chests in DESTINATIONS.items():
        app.add_url_rule(route, route, flask_chest("transaction", chests=chests)(_view()))
    return app


def _view() -> Callable[[], str]:
    def view() -> str:
        g.transaction = 1
        with trace.get_tracer("tests").start_as_current_span("query"):
            return "done"

    return view


class Sample(Server):
    """The sample under gunicorn with two workers, exporting by OTLP/HTTP to `otlp_http`."""

    def __init__(self, folder: Path, otlp_http: str) -> None:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_http,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "PYTHONPATH": str(REPOSITORY),
        }
        super().__init__(folder, settings | EXPORT_SOON)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        """Return gunicorn from this very environment."""
        gunicorn = [sys.executable, "-m", "gunicorn", "--workers", "2", "--bind", f"127.0.0.1:{self.port}"]
        return [*gunicorn, "tests.backends.sample:create_app()"]

    def is_ready(self) -> bool:
        """Return whether a worker answers."""
        return request(f"{self.url}/nowhere")[0] == 404

    def visit(self, route: str, times: int, *, method: str = "GET") -> None:
        """Ask for a page some times."""
        for _ in range(times):
            assert request(self.url + route, method=method)[0] == 200
