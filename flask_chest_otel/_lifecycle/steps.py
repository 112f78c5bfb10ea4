"""One request, from begin to finish, seen by the package.

Owns the state of one application: its settings, plans, instruments and chests. It changes nothing on the application;
``attach`` calls it.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from flask import current_app, has_request_context, request
from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from werkzeug.exceptions import HTTPException

from flask_chest_otel._base.process import current_process
from flask_chest_otel._context import propagator
from flask_chest_otel._context.typed import TypedContext
from flask_chest_otel._guard import count_refusal, guarded, report_error
from flask_chest_otel._records import abandoned
from flask_chest_otel._records.record import Measurement, RequestRecord
from flask_chest_otel._records.router import ChestRouter
from flask_chest_otel._request import destinations, excluded_urls, trace_id
from flask_chest_otel._request.added_metrics import AddedMetrics
from flask_chest_otel._request.live import LiveRequest, live_request
from flask_chest_otel._request.lookup import (
    ENVIRON_KEY,
    current_request,
    find_span,
    inside_server_span,
    is_root,
    is_suppressed,
    present_context,
    present_g,
    present_request,
    request_in,
    request_of_context,
    span_here,
    upstream_is_disabled,
)
from flask_chest_otel._request.recorder import NO_METRIC, Recorded, Recorder
from flask_chest_otel._request.response_headers import ResponseHeaders
from flask_chest_otel._server_span import upstream
from flask_chest_otel._server_span.active_requests import active_requests
from flask_chest_otel._server_span.span import SERVER_SPAN_KEY, ServerSpan, ServerSpanFactory
from flask_chest_otel._server_span.upstream import is_instrumented_by_upstream
from flask_chest_otel._tracking.instruments import Instruments
from flask_chest_otel._tracking.marks import marks_of
from flask_chest_otel._tracking.plan import Plan, Planner
from flask_chest_otel._tracking.routes import note_unusable
from flask_chest_otel._values.convert import Limits
from flask_chest_otel._values.exceptions import record_exception, status_of
from flask_chest_otel._values.methods import metric_method
from flask_chest_otel._version import __version__
from flask_chest_otel.ids import format_trace_id, is_legal, legalise, random_id
from flask_chest_otel.names import CHESTS, HTTP_RESPONSE_STATUS_CODE, REQUEST_ID, SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response
    from opentelemetry.trace import Span

    from flask_chest_otel._providers.export_policy import ExportPolicy
    from flask_chest_otel._request.added_metrics import Dimensions
    from flask_chest_otel.config import ChestConfig

__all__ = ["Lifecycle"]

_MOST_ROOTS = 50
"""Roots that one application is told apart by: a proxy may pass on whatever a client says is its prefix."""

_ABANDONED_AT_ONCE = 8
"""Requests without an end that one request ends for others: it should not wait for a thousand of them."""

_PATIENCE_S = 1.0
"""How long ``add_metric`` waits for a first request to set up exports, seconds; then it records all the same."""


ADDED_NOWHERE = (
    "add_metric(%r) goes nowhere: outside of a request only a meter provider takes it, and there is none; "
    "type OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318, or FlaskChest(app, meter_provider=…)"
)


class Lifecycle:
    """Everything that happens to the requests of one application.

    Attributes:
        config: The application's settings.
        planner: Compiles what to record.
        router: Who gets the records of finished requests.
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
        hooks: tuple[Any, Any] = (None, None),
        prepare: Callable[[Flask], None] | None = None,
    ) -> None:
        """Prepare; nothing is built before the first request.

        Args:
            config: The settled settings.
            export: Providers and chests, made at the first request.
            quiet: Leave no trace on requests that track nothing, and none in responses (zero code).
            hooks: The request and the response hook of a server span of our own.
            prepare: Called before the first request goes on; others wait for it.
        """
        self.config = config
        self.export = export
        self._meter = metrics.get_meter(SCOPE, __version__, export.deferred_meter_provider)
        self._hooks = hooks
        self._prepare = prepare
        self._spans: ServerSpanFactory | None = None
        self._stand_ins: ServerSpanFactory | None = None
        self.borderless = False
        self.alone = False
        instruments = Instruments(self._meter, config.cardinality_limit)
        self.planner = Planner(config, instruments)
        self._added = AddedMetrics(instruments, Limits(config.value_limit_chars, config.list_limit))
        self.router = ChestRouter(tuple(chest for chest in config.chests if not isinstance(chest, str)))
        self.typed = TypedContext(config)
        self._quiet = quiet
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._roots: set[str] = set()
        self._counts = False
        self._recorder = Recorder(config, self.planner)
        self._headers = None if quiet or not config.response_headers else ResponseHeaders(config.response_headers)
        self._excluded = excluded_urls.compile_patterns(config.excluded_urls)
        self.excluded_urls = (
            excluded_urls.for_upstream(config.excluded_urls) if config.excluded_urls is not None else None
        )
        header = config.request_id_header
        # No client can send a header that becomes an empty key.
        self._inbound_key = "HTTP_" + header.upper().replace("-", "_") if header else ""
        self._started = False
        self._starting: dict[object, threading.RLock] = {}
        self._starting_in: object = None
        self._rule: propagator.Rule | None = None

    def bring_upstream(self, app: Flask) -> bool:
        """Instrument with upstream's Flask instrumentation where that is wanted; whether that was done.

        Raises:
            AssertionError: Flask's own, for an application that has served requests already.
        """
        if self.config.server_span != "upstream":
            return False
        return upstream.bring(
            app, self.export.deferred_tracer_provider, self.export.deferred_meter_provider, self.excluded_urls
        )

    # Steps, in the order in which Flask comes past them

    def enter(self, app: Flask, environ: dict[str, Any]) -> ServerSpan | None:
        """The WSGI entry: start the clock of a server span of our own; ``None`` where there will be none."""
        if not self._started:
            self._start(app)
        if abandoned.waiting:
            abandoned.work_off(_ABANDONED_AT_ONCE)
        if self.borderless:
            return None
        entered: ServerSpan | None = environ.get(SERVER_SPAN_KEY)
        if entered is not None and entered.waits_for(self):
            return None  # by the other one of __call__ and wsgi_app
        return ServerSpan(self, self._spans, environ)

    def begin(self, app: Flask) -> None:
        """Open the record: before every ``before_request`` function, the URL already matched."""
        http = present_request()
        if self._excluded is not None and self._excluded.search(excluded_urls.path_of(http)):
            return
        span_at_begin: Span = trace.INVALID_SPAN
        served = False
        # An empty context, the usual case on a server's thread, holds no span and cannot suppress anything.
        if otel_context.get_current():
            if is_suppressed():
                return
            span_at_begin = trace.get_current_span()
            served = inside_server_span()
        if not self._started:
            self._start(app)
        plan = self._plan_of(app, http)
        live = LiveRequest(self, plan, present_g(), id(present_context()), http.method)
        already_there = live.g.__dict__
        if already_there:
            live.before = dict(already_there)
        live.span_at_begin = span_at_begin
        live.outer = live_request.get()
        environ = http.environ
        live.displaced = environ.get(ENVIRON_KEY)
        environ[ENVIRON_KEY] = live
        live_request.set(live)
        if plan.chests is not None:
            self._name_destinations(live)
        inbound = environ.get(self._inbound_key)
        if inbound is not None or plan.request_id_generators:
            self._choose_id(live, inbound)
        server_span: ServerSpan | None = environ.get(SERVER_SPAN_KEY)
        if server_span is not None and server_span.waits_for(self):
            server_span.open(live, inside=served)

    def dispatch(self) -> None:
        """The view comes next: what starts a root span from here on is not the server."""
        # Not looked up by its g, which costs: a record that is not this request's (one inside it that was left
        # open) has been dispatched already, and nothing changes.
        live = live_request.get()
        if live is not None and not live.dispatched:
            live.dispatched = True
            if live.span is None:
                find_span(live)

    def viewed(self) -> None:
        """After the view, with ``raise_exceptions``: refuse like the view itself would.

        Raises:
            ChestValueError: A value on ``g`` cannot be recorded.
        """
        live = current_request()
        if live is not None:
            self._recorder.check(live)

    def handled(self, error: BaseException | None, answer: Any) -> None:
        """``answer`` is what is said for ``error``, by itself or a handler: no failure, but worth an event."""
        live = current_request()
        if live is None:
            return
        if live.server_span is not None:
            # Flask makes a response of the exception itself by calling it, which leaves an iterator of a body that
            # is there already; unless the view gave it a response to carry.
            live.server_span.has_page = isinstance(answer, HTTPException) and answer.response is None
        # An HTTPException is how views say 404: an answer, not an error.
        if error is None or isinstance(error, HTTPException) or not self.config.handled_exceptions:
            return
        span = live.span or span_here(live)
        if span is not None and span.is_recording():
            record_exception(span, error, self.config.value_limit_chars)

    def respond(self, response: Response) -> Response:
        """The response is there, after every ``after_request`` function; what is sent in its place."""
        if self._headers is None and not self.router.wanted and self._spans is None and not self._counts and self.alone:
            return response
        live = current_request()
        if live is None or live.finished:
            return response
        live.status, live.answered = response.status_code, True
        if live.server_span is not None:
            live.server_span.answered = response.status_code
            live.server_span.streamed = not response.is_sequence and not _is_page(response, live.server_span)
        if live.span is None:
            self._settle_span(live)
        live.dispatched = True
        if self._headers is None or live.at_border:
            return response
        # A framework has taken the application's WSGI callable before the extension was put on, as Connexion does.
        return self._headers.on_copy(response, live.request_id or self.decide_id(live), live.span)

    def headers_of(self, live: LiveRequest, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The response begins: its headers, and those that are wanted of us; ``headers`` stays as it is."""
        if self._headers is None:
            return [*headers]
        if live.span is None and not live.finished:
            self._settle_span(live)
        return self._headers.added_to(headers, live.request_id or self.decide_id(live), live.span)

    def finish(self, error: BaseException | None) -> None:
        """Teardown: close the record, before any teardown function ends the server span.

        Args:
            error: What the view raised and nobody handled.
        """
        live = current_request()
        if live is None or live.finished:
            return
        if self.typed.propagates:
            self.typed.complete(live)
            # The application may have set a global propagator of its own meanwhile.
            propagator.install(self._rule)
        live.finished = True
        if live_request.get() is live:
            live_request.set(live.outer)
        if live.displaced is not None:
            request.environ[ENVIRON_KEY] = live.displaced
        server_span = live.server_span
        if server_span is not None:
            server_span.fail(error)
            if error is not None:
                server_span.streamed = False  # what Flask says for it is complete
            elif server_span.streamed and server_span.is_own:
                # The generator may still set values, on this g.
                server_span.complete = lambda: self._record(live)
                return
        self._close(live, error)

    def decide_id(self, live: LiveRequest) -> str:
        """The request's id, decided now if it was not: the root's trace id, else a fresh one."""
        if live.request_id is None:
            # Before the view, what is current may be a span inside the server's: looked at, not kept.
            span = live.span if live.dispatched or live.span is not None else span_here(live)
            root = span if span is not None and is_root(live, span) else None
            if root is not None:
                live.request_id = format_trace_id(root.get_span_context().trace_id)
            else:
                live.request_id = random_id()
            if not live.dispatched and (span is None or root is not None):
                # Asked for early: the server span that is still to come gets this id as its trace id.
                live.root_trace_id = int(live.request_id, 16)
                trace_id.shadow(self.export.tracer_provider())
        return live.request_id

    def force_flush(self, timeout_s: float) -> bool:
        """Wait until chests and providers have passed on what they hold, at most ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        abandoned.work_off()
        flushed = self.router.flush(timeout_s)
        return self.export.force_flush(max(0.05, deadline - time.monotonic())) and flushed

    def add_metric(self, name: str, value: Any, unit: str | None, dimensions: Dimensions) -> None:
        """Record one value of the application's own, inside or outside of a request."""
        # By the environ: what a thread with a copied context adds belongs to the request, too.
        live = request_in(request.environ) if has_request_context() else None
        if live is not None and live.owner is not self:
            live = None
        if live is None and not self._started:
            # In a command or a job: there will be no first request to set up exports.
            # Perhaps by a log handler, under its lock, which the thread that starts waits for: not for ever.
            self._start(current_app._get_current_object(), _PATIENCE_S)  # type: ignore[attr-defined]  # as a Flask
        if live is None and not self.export.has_metrics:
            count_refusal("add_metric nowhere", ADDED_NOWHERE, name)
        self._added.add(live, name, value, unit, dimensions)

    # Parts of begin

    def _start(self, app: Flask, patience_s: float = -1) -> None:
        # Made here: a lock from before gevent's patches, or held by another thread at a fork, would never be free.
        turn = self._starting.setdefault(current_process(), threading.RLock())
        if not turn.acquire(timeout=patience_s):
            return
        try:
            # Come past here a second time, the thread is starting: a log handler of its own has called us.
            if not self._started and self._starting_in is not current_process():
                self._starting_in = current_process()
                try:
                    self._build(app)
                    self._started = True
                finally:
                    self._starting_in = None
        finally:
            turn.release()

    def _build(self, app: Flask) -> None:
        try:
            note_unusable(self.planner, app)
            if self._prepare is not None:
                self._prepare(app)
            if self.typed.propagates:
                self._rule = propagator.Rule(self.config.propagate, self.config.propagate_to)
                propagator.install(self._rule)
            self.router.add(*self.export.start(app))
            self._spans, self._stand_ins = self._server_spans(app)
            self.alone = self._stand_ins is None
            self.borderless = self._spans is None and self._headers is None
        except Exception as error:  # noqa: BLE001 - the guard decides; requests keep their ids all the same
            report_error("export", error)

    def _server_spans(self, app: Flask) -> tuple[ServerSpanFactory | None, ServerSpanFactory | None]:
        """Our own, or those that stand in where upstream makes none.

        Decided with the first request: upstream may instrument the application at any time before.
        """
        mode, upstream = self.config.server_span, is_instrumented_by_upstream(app)
        if mode is None or (mode == "upstream" and not upstream):
            return None, None
        if mode == "auto" and self._quiet and upstream_is_disabled():
            return None, None
        tracer = trace.get_tracer(SCOPE, __version__, self.export.tracer_provider())
        active = active_requests(self._meter, self.export.own_meter_provider)
        limit = self.config.cardinality_limit
        made = ServerSpanFactory(tracer, self._meter, active, limit, self.config.value_limit_chars, *self._hooks)
        return (None, made) if upstream else (made, None)

    def _settle_span(self, live: LiveRequest) -> None:
        """The server span is there by now, or upstream's never began: a URL preprocessor has ended the request."""
        find_span(live)
        if live.span is None and self._stand_ins is not None and not (live.reached_upstream or live.dispatched):
            self._stand_ins.stand_in(live, request.environ)

    def _plan_of(self, app: Flask, http: Any) -> Plan:
        rule = http.url_rule
        method = http.method
        # Only a matched rule bounds what a client may send as its method.
        if rule is None or rule.methods is None:
            method = metric_method(method)
        # Where the application is mounted: most are nowhere, and then nothing is to be built.
        root = http.root_path and self._root(http.root_path)
        key = (method,) if rule is None else (method, rule.endpoint, rule.rule, root)
        plan = self._plans.get(key)
        if plan is None:
            marks = marks_of(app.view_functions.get(rule.endpoint), method) if rule is not None else ()
            plan = self.planner.compile(marks, method, rule.rule if rule is not None else None, root)
            self._plans[key] = plan
            self._counts = self._counts or bool(plan.counts)
        return plan

    def _root(self, root: str) -> str:
        """The application's root for ``http.route``; none where there are so many that it says who is asking."""
        if root not in self._roots:
            if len(self._roots) >= _MOST_ROOTS:
                count_refusal(
                    "roots", "mounted at more than %d roots: http.route goes without them from now on", _MOST_ROOTS
                )
                return ""
            self._roots.add(root)
        return root

    def _choose_id(self, live: LiveRequest, inbound: str | None) -> None:
        if inbound is not None and is_legal(inbound):
            live.request_id = inbound
        else:
            if inbound is not None:
                count_refusal("illegal inbound request id", "refused an inbound request id that is not legal")
            # The route's, else the application's: the first that makes one.
            live.request_id = next(filter(None, map(_generated, live.plan.request_id_generators)), None)
        if live.request_id is not None:
            live.own_id = True
            trace_id.shadow(self.export.tracer_provider())

    @guarded("destinations")
    def _name_destinations(self, live: LiveRequest) -> None:
        destinations.ensure_on(self.export.tracer_provider(), request_of_context)
        span = span_here(live)
        if span is not None and live.plan.chests_text is not None:
            # Started before the request, by an instrumentation around the application.
            span.set_attribute(CHESTS, live.plan.chests_text)

    # Parts of finish

    def _close(self, live: LiveRequest, error: BaseException | None) -> None:
        if error is not None and not live.answered:
            live.status = status_of(error)
        if live.span is None:
            self._settle_span(live)
        self._record(live)
        if live.stands_in and self._stand_ins is not None:
            self._stand_ins.end_stand_in(live, error)

    def _record(self, live: LiveRequest) -> None:
        recorded = self._recorder.read(live)
        attributes, numbers, _, refused = recorded
        wanted = self.router.wanted
        measurements: list[Measurement] = []
        # Each part for itself: a provider that raises takes nothing from the others.
        try:
            self._describe(live, attributes)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("span", error)
        if numbers:
            try:
                context = live.context or otel_context.get_current()
                measurements = self._recorder.measure(live, recorded, context, kept=wanted)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("metrics", error)
        for name, reason in refused.items():
            how = "has" if reason.startswith(NO_METRIC) else "is not recorded:"
            count_refusal(f"refused {name}: {reason}", "g.%s %s %s", name, how, reason)
        if live.added or live.plan.counts:
            measurements = [*(self._added.finish(live) or ()), *measurements]
        if wanted:
            self._hand_over(live, recorded, measurements)
        # Whoever keeps this record, a thread's context for example, does not keep others, or the response.
        live.before = live.outer = live.displaced = live.server_span = None

    def _describe(self, live: LiveRequest, attributes: dict[str, Any]) -> None:
        """Write onto the server span."""
        span = live.span
        if span is None or not span.is_recording():
            return
        if live.request_id is None:
            if self._quiet and not attributes:
                return
            self.decide_id(live)
        if live.server_span is not None and live.server_span.is_own:
            live.server_span.described = attributes[HTTP_RESPONSE_STATUS_CODE] = live.status
        attributes[REQUEST_ID] = live.request_id
        span.set_attributes(attributes)

    def _hand_over(self, live: LiveRequest, recorded: Recorded, measurements: list[Measurement]) -> None:
        attributes, _, _, refused = recorded
        span_context = live.span.get_span_context() if live.span is not None else trace.INVALID_SPAN_CONTEXT
        valid = span_context.is_valid
        record = RequestRecord(
            start_unix_ns=live.start_unix_ns,
            duration_s=time.perf_counter() - live.start_s,
            service=self.export.service,
            request_id=live.request_id or self.decide_id(live),
            trace_id=format_trace_id(span_context.trace_id) if valid else None,
            span_id=f"{span_context.span_id:016x}" if valid else None,
            method=live.method,
            route=live.plan.rule,
            status=live.status,
            variables=self._recorder.variables(live, attributes),
            chests=live.plan.chests,
            metrics=tuple(measurements),
            refused=refused,
        )
        self.router.put(record)


def _is_page(response: Response, server_span: ServerSpan) -> bool:
    """Whether this is an exception's own page still, and no stream that an ``after_request`` function made of it."""
    return server_span.has_page and response.content_length is not None


def _generated(generator: Callable[[], Any]) -> str | None:
    with guarded("request_id_generator"):
        made = generator()
        found = legalise(made) if made is not None else ""
        if not found:
            count_refusal(
                "empty request id", "request_id_generator returned %r: the request gets its id elsewhere", made
            )
        return found or None
    return None
