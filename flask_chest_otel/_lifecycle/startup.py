"""The start of an application at its first request: exports and chests are set up once in each serving process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from opentelemetry import trace

from flask_chest_otel._base.fork_lock import UnforkedLock
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


_FORK_WAITS_S = 10.0
"""How long a fork waits for a first request in another thread, seconds."""


class StartOnce:
    """Runs ``build`` once, at the first request; other requests wait until it is done, and a fork, too, for a while.

    Attributes:
        done: Whether ``build`` has run.
    """

    def __init__(self, build: Callable[[Flask], None]) -> None:
        self.done = False
        self._build = build
        self._turns: dict[object, UnforkedLock] = {}
        self._running_in: object = None

    def run(self, app: Flask, patience_s: float = -1) -> None:
        """Run ``build`` unless it has run. Wait at most ``patience_s`` seconds for another thread (-1: no limit)."""
        # Make the lock here: one made before gevent's patches, or held by another thread at a fork, never gets free.
        # ``build`` imports modules, whose locks a child would never get: no fork may come in the middle.
        turn = self._turns.setdefault(current_process(), UnforkedLock(threading.RLock, _FORK_WAITS_S))
        if not turn.acquire(patience_s):
            return
        try:
            # This thread may be inside ``build`` already: a log handler of the application may call us from there.
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
    """Write the present metrics to the outbox, where metrics go through one. This only writes to the local disk."""
    if hasattr(export.meter_provider(), "for_service"):
        # Imported here: it brings the SDK.
        from flask_chest_otel._providers.metric_reader import keep_all  # noqa: PLC0415

        keep_all()


def make_server_spans(
    app: Flask, config: ChestConfig, export: ExportPolicy, meter: Meter, options: CallerOptions, *, quiet: bool
) -> tuple[ServerSpanFactory | None, ServerSpanFactory | None]:
    """Make the factory of our own server spans, and the factory of stand-ins for spans that upstream never began.

    This is decided at the first request, as upstream may instrument the application at any time before it.

    Returns:
        Both factories; ``None`` for one that is not needed.
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
