"""The first request of an application: it sets up exports and chests, once in each process that serves."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from opentelemetry import trace

from flask_chest_otel._base.process import current_process
from flask_chest_otel._request.lookup import upstream_is_disabled
from flask_chest_otel._server_span import upstream
from flask_chest_otel._server_span.active_requests import active_requests
from flask_chest_otel._server_span.factory import ServerSpanFactory
from flask_chest_otel._version import __version__
from flask_chest_otel.names import SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from opentelemetry.metrics import Meter

    from flask_chest_otel._providers.export_policy import ExportPolicy
    from flask_chest_otel._server_span.caller_options import CallerOptions
    from flask_chest_otel.config import ChestConfig

__all__ = ["StartOnce", "keep_metrics", "make_server_spans"]


class StartOnce:
    """Runs ``build`` for the first request, while others wait.

    Attributes:
        done: Whether that has happened.
    """

    def __init__(self, build: Callable[[Flask], None]) -> None:
        self.done = False
        self._build = build
        self._turns: dict[object, threading.RLock] = {}
        self._running_in: object = None

    def run(self, app: Flask, patience_s: float = -1) -> None:
        """Build, if nobody has; wait at most ``patience_s`` seconds for a thread that does (-1: without end)."""
        # Made here: a lock from before gevent's patches, or held by another thread at a fork, would never be free.
        turn = self._turns.setdefault(current_process(), threading.RLock())
        if not turn.acquire(timeout=patience_s):
            return
        try:
            # Come past here a second time, the thread is starting: a log handler of its own has called us.
            if not self.done and self._running_in is not current_process():
                self._running_in = current_process()
                try:
                    self._build(app)
                    self.done = True
                finally:
                    self._running_in = None
        finally:
            turn.release()


def keep_metrics(export: ExportPolicy) -> None:
    """Put what the metrics say now into the outbox, where one takes them: a local write, nothing is sent."""
    if hasattr(export.meter_provider(), "for_service"):
        # Imported here: it brings the SDK.
        from flask_chest_otel._providers.metric_reader import keep_all  # noqa: PLC0415

        keep_all()


def make_server_spans(
    app: Flask, config: ChestConfig, export: ExportPolicy, meter: Meter, options: CallerOptions, *, quiet: bool
) -> tuple[ServerSpanFactory | None, ServerSpanFactory | None]:
    """What makes our own server spans, and what makes those that stand in where upstream makes none.

    Decided with the first request: upstream may instrument the application at any time before.
    """
    mode, by_upstream = config.server_span, upstream.is_instrumented_by_upstream(app)
    if mode is None or (mode == "upstream" and not by_upstream):
        return None, None
    if mode == "auto" and quiet and upstream_is_disabled():
        return None, None
    tracer = trace.get_tracer(SCOPE, __version__, export.tracer_provider())
    active = active_requests(meter, export.own_meter_provider)
    made = ServerSpanFactory(tracer, meter, active, config, options, app.view_functions)
    return (None, made) if by_upstream else (made, None)
