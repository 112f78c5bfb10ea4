"""The state of this package for one application, kept in ``app.extensions`` under one of two keys."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import current_app, has_app_context, request
from opentelemetry import metrics

from flask_chest_otel._context.typed import TypedContext
from flask_chest_otel._guard import Refusal, count_refusal, guarded, report_error
from flask_chest_otel._lifecycle.startup import StartOnce, keep_metrics, make_server_spans
from flask_chest_otel._logs.application import RequestLogs
from flask_chest_otel._providers.export_policy import service_version
from flask_chest_otel._providers.propagators import check_propagators
from flask_chest_otel._records import abandoned
from flask_chest_otel._records.router import ChestRouter
from flask_chest_otel._request.added_metrics import AddedMetrics
from flask_chest_otel._request.exceptions import ExceptionLog
from flask_chest_otel._request.excluded_urls import ExcludedUrls, for_upstream
from flask_chest_otel._request.lookup import find_span, request_of_context
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
from flask_chest_otel._tracking.secret_rules import SecretRules
from flask_chest_otel._values.convert import Limits
from flask_chest_otel._version import __version__
from flask_chest_otel.config import SET_TOO_LATE, late_keys
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
"""Key of the state of an application with the extension ``FlaskChest``."""

INSTRUMENTOR_KEY = "flask_chest_instrumentor"
"""Key of the state of an application that the instrumentor records."""

_PATIENCE_S = 1.0
"""How long ``add_metric`` waits while another thread sets up exports, seconds; then it records without them."""

ADDED_NOWHERE = (
    "add_metric(%r) goes nowhere: outside of a request only a meter provider takes it, and there is none; "
    "type OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318, or FlaskChest(app, meter_provider=…)"
)


class ChestState:
    """The state of this package for one application.

    Attributes:
        config: The application's settings.
        planner: Compiles the plans of routes.
        router: Passes the records of finished requests to the chests.
        logs: Handles the log lines of requests.
        typed: Makes the typed contexts of requests.
        alone: Whether it is certain that no other instrumentation makes server spans of this application.
        borderless: Whether it is certain that there is nothing to do at the WSGI entry.
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
        """Store the parts; providers and chests are made at the first request.

        Args:
            config: The settings.
            export: Makes providers and chests at the first request.
            quiet: Leave requests that track nothing, and all responses, unchanged (instrumentation without code).
            options: The options for server spans that the instrumentor's caller gave.
            prepare: Called once before the first request continues; other requests wait for it.
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
        # Installs the propagator of typed fields, where any are sent.
        self._propagate: Callable[[], None] | None = None
        self._spans: ServerSpanFactory | None = None
        self._stand_ins: ServerSpanFactory | None = None
        self._quiet = quiet
        self._options = options
        # None where upstream calls the hook, because we installed it with the hook.
        self._hook = config.request_hook
        self._prepare = prepare
        self._startup = StartOnce(self._build)

    def bring_upstream(self, app: Flask) -> bool:
        """Install OpenTelemetry's Flask instrumentation where ``server_span="upstream"`` asks for it.

        Returns:
            Whether this call has installed it.

        Raises:
            AssertionError: Flask raises it where the application has served requests already.
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
        """Find the server span that another instrumentation made, and call our request hook with it."""
        find_span(live)
        if self._hook is not None and live.span is not None:
            with guarded("request_hook"):
                self._hook(live.span, request.environ)

    def force_flush(self, timeout_s: float) -> bool:
        """Flush chests and providers; wait at most ``timeout_s`` seconds. Return whether all was done in time."""
        deadline = time.monotonic() + timeout_s
        abandoned.work_off()
        flushed = self.router.flush(timeout_s)
        return self.export.force_flush(max(0.05, deadline - time.monotonic())) and flushed

    def add_metric(self, name: str, value: object, unit: str | None, dimensions: Dimensions) -> None:
        """Record one value of the application's own, inside or outside of a request."""
        # Look by the request: a value that a thread with a copied context adds belongs to the request as well.
        live = request_of_context()
        if live is not None and live.ids is not self._ids:
            live = None
        if live is None and not self._startup.done:
            # In a command or a job there is no first request that sets up exports, so set them up here.
            # The wait is bounded: a log handler may call this under its lock, for which the starting thread waits.
            self._startup.run(current_app._get_current_object(), _PATIENCE_S)  # type: ignore[attr-defined]  # as a Flask
        if live is None and not self.export.has_metrics:
            count_refusal(Refusal.VALUE, "add_metric nowhere", ADDED_NOWHERE, name)
        self._added.add(live, name, value, unit, dimensions)

    def _build(self, app: Flask) -> None:
        known = Application(app.name, self.config.version, app.root_path)
        self._recorder.application = known
        try:
            note_unusable(self.planner, app, self.logs.variables, self.config.tracked_vars)
            for key in late_keys(app.config, self.export.sources):
                count_refusal(Refusal.SETTING, key, SET_TOO_LATE, key, key)
            if self._prepare is not None:
                self._prepare(app)
            check_propagators(os.environ)
            if self.typed.propagates:
                self._propagate = _propagation(self.config)
                self._propagate()
            self.router.add(*self.export.start(app))
            if self.config.slos:
                self._begin_objectives(app)
            self.logs.listen()
            version = service_version(self.export.tracer_provider()) or self.config.version
            secret_rules = SecretRules(rule.rule for rule in app.url_map.iter_rules())
            self._recorder.application = known._replace(version=version, secret_rules=secret_rules)
            made = make_server_spans(app, self.config, self.export, self._meter, self._options, quiet=self._quiet)
            self._spans, self._stand_ins = made
            self.alone = self._stand_ins is None
            self.borderless = self._spans is None and self._headers is None and not self.router.wanted
        except Exception as error:  # noqa: BLE001 - the guard decides; request ids work without it
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
    """Set the function that finds the state of applications without one: the instrumentor's, while it is active."""
    _also[:] = [find] if find is not None else []


def state_of(app: Flask) -> ChestState | None:
    """The state of an application, from its extension or from the instrumentor; ``None`` where it is not recorded."""
    found: ChestState | None = app.extensions.get(EXTENSION_KEY) or app.extensions.get(INSTRUMENTOR_KEY)
    return found or next((find(app) for find in _also), None)


def state_here() -> ChestState | None:
    """The state of the current application; ``None`` where there is none, or where it is not recorded."""
    if not has_app_context():
        return None
    return state_of(current_app._get_current_object())  # type: ignore[attr-defined]  # typed as a Flask


def config_of(app: Flask | None) -> ChestConfig | None:
    """The settings of an application; ``None`` where it is not recorded."""
    state = state_of(app) if app is not None else None
    return state.config if state is not None else None


def objectives_of(app: Flask) -> tuple[Objective, ...]:
    """The service level objectives of an application, also before its first request."""
    state = state_of(app)
    if state is None:
        return ()
    for view in app.view_functions.values():
        state.planner.learn(every_mark(view))
    return objectives(state.config.slos, state.planner)


def current_typed_context() -> Any:
    """The typed context of the running request.

    Raises:
        RuntimeError: No recorded application is active here, or the application has no typed context.
    """
    state = state_here()
    if state is None:
        raise RuntimeError("there is no typed context here: ask for it in a view of an application with a FlaskChest")
    return state.typed.current()


def _typed_of(app: Flask) -> TypedContext | None:
    state = state_of(app)
    return state.typed if state is not None else None


def _propagation(config: ChestConfig) -> Callable[[], None]:
    """Make the function that installs the propagator of an application's typed fields; it may be called repeatedly."""
    from flask_chest_otel._context import propagator  # noqa: PLC0415 - it brings an HTTP client; few need it

    propagator.find_with(_typed_of)
    return partial(propagator.install, propagator.Rule(config.propagate, config.propagate_to))
