"""What this package knows of one application, kept in ``app.extensions`` under one of two keys."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import current_app, has_app_context, has_request_context, request
from opentelemetry import metrics

from flask_chest_otel._context.typed import TypedContext
from flask_chest_otel._guard import Refusal, count_refusal, guarded, report_error
from flask_chest_otel._lifecycle.startup import StartOnce, keep_metrics, make_server_spans
from flask_chest_otel._logs.application import RequestLogs
from flask_chest_otel._providers.export_policy import service_version
from flask_chest_otel._records import abandoned
from flask_chest_otel._records.router import ChestRouter
from flask_chest_otel._request.added_metrics import AddedMetrics
from flask_chest_otel._request.exceptions import ExceptionLog
from flask_chest_otel._request.excluded_urls import ExcludedUrls, for_upstream
from flask_chest_otel._request.lookup import find_span, request_in, request_of_context
from flask_chest_otel._request.reader import ValueReader
from flask_chest_otel._request.recorder import Application, Recorder
from flask_chest_otel._request.request_id import RequestIds
from flask_chest_otel._request.response_headers import ResponseHeaders
from flask_chest_otel._request.span_watch import SpanWatch
from flask_chest_otel._server_span import upstream
from flask_chest_otel._server_span.caller_options import CallerOptions
from flask_chest_otel._tracking.instruments import Instruments
from flask_chest_otel._tracking.marks import every_mark
from flask_chest_otel._tracking.objectives import Objectives, objectives
from flask_chest_otel._tracking.plan import Planner
from flask_chest_otel._tracking.plans import Plans
from flask_chest_otel._tracking.routes import note_unmatched, note_unusable
from flask_chest_otel._values.convert import Limits
from flask_chest_otel._version import __version__
from flask_chest_otel.names import SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from flask_chest_otel._providers.export_policy import ExportPolicy
    from flask_chest_otel._request.added_metrics import Dimensions
    from flask_chest_otel._request.live import LiveRequest
    from flask_chest_otel._server_span.factory import ServerSpanFactory
    from flask_chest_otel._tracking.objectives import Objective
    from flask_chest_otel.config import ChestConfig

__all__ = [
    "EXTENSION_KEY",
    "INSTRUMENTOR_KEY",
    "ChestState",
    "config_of",
    "current_typed_context",
    "objectives_of",
    "register_finder",
    "state_here",
    "state_of",
]

EXTENSION_KEY = "flask_chest"
"""Of an application with an extension."""

INSTRUMENTOR_KEY = "flask_chest_instrumentor"
"""Of an application that the instrumentor records."""

_PATIENCE_S = 1.0
"""How long ``add_metric`` waits for a first request to set up exports, seconds; then it records all the same."""

ADDED_NOWHERE = (
    "add_metric(%r) goes nowhere: outside of a request only a meter provider takes it, and there is none; "
    "type OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318, or FlaskChest(app, meter_provider=…)"
)


class ChestState:
    """What this package knows of one application.

    Attributes:
        config: The application's settings.
        planner: Compiles what to record.
        router: Who gets the records of finished requests.
        logs: What is done with the log lines of its requests.
        typed: The typed contexts of its requests.
        alone: Whether it is known that no other instrumentation makes the server spans of this application.
        borderless: Whether it is known that nothing is to be done at the WSGI border.
    """

    def __init__(
        self,
        config: ChestConfig,
        export: ExportPolicy,
        *,
        quiet: bool = False,
        options: CallerOptions = CallerOptions(),  # noqa: B008 - frozen
        prepare: Callable[[Flask], None] | None = None,
    ) -> None:
        """Prepare; nothing is built before the first request.

        Args:
            config: The settled settings.
            export: Providers and chests, made at the first request.
            quiet: Leave no trace on requests that track nothing, and none in responses (zero code).
            options: What the instrumentor's caller says about server spans.
            prepare: Called before the first request goes on; others wait for it.
        """
        self.config = config
        self.export = export
        self.borderless = self.alone = False
        self._meter = metrics.get_meter(SCOPE, __version__, export.deferred_meter_provider)
        instruments = Instruments(self._meter, config.cardinality_limit)
        self.planner = Planner(config, instruments)
        self.router = ChestRouter(tuple(chest for chest in config.chests if not isinstance(chest, str)))
        self.typed = TypedContext(config)
        self._ids = RequestIds(config, export.tracer_provider)
        self._plans = Plans(self.planner)
        self._reader = ValueReader(config, self.planner)
        self.logs = RequestLogs(config, export.sources, self._reader, self.router, quiet=quiet)
        self._added = AddedMetrics(instruments, Limits(config.value_limit_chars, config.list_limit))
        self._span_watch = SpanWatch(config, export, self.router, request_of_context)
        chars = config.value_limit_chars
        self._recorder = Recorder(
            self._reader, self.planner, self._added, self.router, self._span_watch, chars, quiet=quiet
        )
        self._exceptions = ExceptionLog(export, chars, config.handled_exceptions, self._recorder)
        self._headers = None if quiet or not config.response_headers else ResponseHeaders(config.response_headers)
        self._excluded = ExcludedUrls.of(config.excluded_urls)
        self.excluded_urls = for_upstream(config.excluded_urls) if config.excluded_urls is not None else None
        # Puts the propagator of typed fields in place, where any travel.
        self._propagate: Callable[[], None] | None = None
        self._spans: ServerSpanFactory | None = None
        self._stand_ins: ServerSpanFactory | None = None
        self._quiet = quiet
        self._options = options
        # Called by upstream where that was brought here.
        self._hook = config.request_hook
        self._prepare = prepare
        self._startup = StartOnce(self._build)

    def bring_upstream(self, app: Flask) -> bool:
        """Instrument with upstream's Flask instrumentation where that is wanted; whether that was done.

        Raises:
            AssertionError: Flask's own, for an application that has served requests already.
        """
        if self.config.server_span != "upstream":
            return False
        export, config = self.export, self.config
        brought = upstream.bring(
            app,
            tracer_provider=export.deferred_tracer_provider,
            meter_provider=export.deferred_meter_provider,
            excluded_urls=self.excluded_urls,
            **self._options.for_upstream(config.request_hook),
        )
        self._hook = None if brought else self._hook
        return brought

    def _find_span(self, live: LiveRequest) -> None:
        """Find the server span that others have made, who do not call the hook."""
        find_span(live)
        if self._hook is not None and live.span is not None:
            with guarded("request_hook"):
                self._hook(live.span, request.environ)

    def force_flush(self, timeout_s: float) -> bool:
        """Wait until chests and providers have passed on what they hold, at most ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        abandoned.work_off()
        flushed = self.router.flush(timeout_s)
        return self.export.force_flush(max(0.05, deadline - time.monotonic())) and flushed

    def add_metric(self, name: str, value: object, unit: str | None, dimensions: Dimensions) -> None:
        """Record one value of the application's own, inside or outside of a request."""
        # By the environ: what a thread with a copied context adds belongs to the request, too.
        live = request_in(request.environ) if has_request_context() else None
        if live is not None and live.ids is not self._ids:
            live = None
        if live is None and not self._startup.done:
            # In a command or a job: there will be no first request to set up exports.
            # Perhaps by a log handler, under its lock, which the thread that starts waits for: not for ever.
            self._startup.run(current_app._get_current_object(), _PATIENCE_S)  # type: ignore[attr-defined]  # as a Flask
        if live is None and not self.export.has_metrics:
            count_refusal(Refusal.VALUE, "add_metric nowhere", ADDED_NOWHERE, name)
        self._added.add(live, name, value, unit, dimensions)

    def _build(self, app: Flask) -> None:
        self._recorder.application = Application(app.name, self.config.version, app.root_path)
        try:
            note_unusable(self.planner, app)
            if self._prepare is not None:
                self._prepare(app)
            if self.typed.propagates:
                self._propagate = _propagation(self.config)
                self._propagate()
            self.router.add(*self.export.start(app))
            if self.config.slos:
                self._begin_objectives(app)
            self.logs.listen()
            version = service_version(self.export.tracer_provider()) or self.config.version
            self._recorder.application = Application(app.name, version, app.root_path)
            made = make_server_spans(app, self.config, self.export, self._meter, self._options, quiet=self._quiet)
            self._spans, self._stand_ins = made
            self.alone = self._stand_ins is None
            self.borderless = self._spans is None and self._headers is None and not self.router.wanted
        except Exception as error:  # noqa: BLE001 - the guard decides; requests keep their ids all the same
            report_error("export", error)

    @guarded("objectives")
    def _begin_objectives(self, app: Flask) -> None:
        note_unmatched(self.config.slos, self.config.tracked_vars, app)
        found = Objectives(
            objectives(self.config.slos, self.planner),
            self._meter,
            self.export.own_meter_provider,
            self.config.cardinality_limit,
            partial(keep_metrics, self.export),
        )
        found.begin()
        self.router.judge_by(found.judge)


_also: list[Callable[[Flask], ChestState | None]] = []


def register_finder(find: Callable[[Flask], ChestState | None] | None) -> None:
    """Ask ``find`` about applications that nothing is known of yet: the instrumentor, while it is on."""
    _also[:] = [find] if find is not None else []


def state_of(app: Flask) -> ChestState | None:
    """The state of an application, from its extension or the instrumentor; ``None`` where neither records it."""
    found: ChestState | None = app.extensions.get(EXTENSION_KEY) or app.extensions.get(INSTRUMENTOR_KEY)
    return found or next((find(app) for find in _also), None)


def state_here() -> ChestState | None:
    """The state of the application that is running; ``None`` where none is, or nothing records it."""
    if not has_app_context():
        return None
    return state_of(current_app._get_current_object())  # type: ignore[attr-defined]  # typed as a Flask


def config_of(app: Flask | None) -> ChestConfig | None:
    """The settings by which an application is recorded; ``None`` where nothing records it."""
    state = state_of(app) if app is not None else None
    return state.config if state is not None else None


def objectives_of(app: Flask) -> tuple[Objective, ...]:
    """The service level objectives of an application, whether it has served a request yet or not."""
    state = state_of(app)
    if state is None:
        return ()
    for view in app.view_functions.values():
        state.planner.learn(every_mark(view))
    return objectives(state.config.slos, state.planner)


def current_typed_context() -> Any:
    """The typed context of the application that is running."""
    state = state_here()
    if state is None:
        raise RuntimeError("there is no typed context here: ask for it in a view of an application with a FlaskChest")
    return state.typed.current()


def _typed_of(app: Flask) -> TypedContext | None:
    state = state_of(app)
    return state.typed if state is not None else None


def _propagation(config: ChestConfig) -> Callable[[], None]:
    """What puts the propagator of an application's typed fields in place, again and again."""
    from flask_chest_otel._context import propagator  # noqa: PLC0415 - it brings an HTTP client; few need it

    propagator.find_with(_typed_of)
    return partial(propagator.install, propagator.Rule(config.propagate, config.propagate_to))
