"""``LiveRequest``: the state of one request while it runs."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import INVALID_SPAN

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from flask_chest_otel._records.record import RequestError
    from flask_chest_otel._request.child_spans import ChildSpans
    from flask_chest_otel._request.request_id import RequestIds
    from flask_chest_otel._request.span_watch import SpanWatch
    from flask_chest_otel._server_span.span import ServerSpan
    from flask_chest_otel._tracking.plan import Plan

__all__ = ["LiveRequest", "live_request"]


class LiveRequest:
    """The state of a request from its begin to its finish; changed in place, by one thread at a time.

    Attributes:
        ids: Decides the request id; one object for each application.
        plan: What to record for this endpoint and method.
        g: The ``flask.g`` object with which this request began; the steps act only where ``g`` is this object.
        context_id: The ``id`` of the Flask context in which it began. That context holds this object through its
            environ; a reference back would keep both alive.
        before: The content of ``g`` at the begin, where an application context was pushed outside; or ``None``.
        span_at_begin: The span that was current at the begin.
        outer: The request inside which this one runs, or ``None``.
        displaced: The object that this one replaced in the WSGI environ, or ``None``.
        span: The server span, once it is known.
        context: The OpenTelemetry context in which that span is current.
        server_span: Our own server span, from the WSGI entry to the end of the body; ``None`` where we make none.
        has_page: Whether an ``HTTPException`` is the response, whose body is complete.
        reached_upstream: Whether the function was called in which OpenTelemetry's instrumentation begins its span.
        is_told: Whether our own server span reports the exception with which the request ends, for a log record.
        stands_in: Whether the server span is ours because the one of OpenTelemetry's instrumentation never began.
        request_id: The request id, once it is decided.
        own_id: Whether the client sent the id or the application generated it; else this package made it.
        root_trace_id: Trace id for root spans started before the view, once one was needed.
        dispatched: Whether the view was reached; root spans started later are not the server span.
        at_border: Whether we wrap the WSGI entry of this request, so that headers can be added there.
        answered: Whether the application has made a response.
        finished: Whether the record was made.
        status: HTTP status code; 500 until there is a response.
        logs: Handles the log lines of this request, from the moment at which its id is known.
        log_fields: The fields prepared for the last log line.
        log_lines: The request's log lines, where a chest keeps them.
        method: HTTP method as it was received.
        span_watch: Watches the child spans; ``None`` where no record of this request is made.
        child_spans: Holds the collector of child spans, once there is one; ``None`` where none are collected, or the
            record was made.
        server_span_id: Span id of the server span that was started in this request, or 0.
        path: The path for the record; ``""`` where no record is made.
        secret_rule: The rule that stands in place of the path, as an argument in it has a sensitive name; or ``None``.
        error: The exception that is known so far: with which the request failed, or that was handled.
        raised: The exception that the view raised, until it is known whether a handler answers it.
        recovered: Whether an error handler of the application answers failures.
        first_byte_s: Monotonic clock when the response began, or ``None``.
        thread: The thread in which the request began; set only together with ``cpu_s``.
        cpu_s: Processor time of that thread at the begin, seconds; or ``None``.
        added: The values of ``add_metric``, recorded at the end.
        typed: The typed context, once the application has asked for it.
        start_unix_ns: Wall-clock time of the begin, nanoseconds since 1970 UTC.
        start_s: Monotonic clock at the begin, seconds.
    """

    __slots__ = (
        "__weakref__",
        "added",
        "answered",
        "at_border",
        "before",
        "child_spans",
        "context",
        "context_id",
        "cpu_s",
        "dispatched",
        "displaced",
        "error",
        "finished",
        "first_byte_s",
        "g",
        "has_page",
        "ids",
        "is_told",
        "log_fields",
        "log_lines",
        "logs",
        "method",
        "outer",
        "own_id",
        "path",
        "plan",
        "raised",
        "reached_upstream",
        "recovered",
        "request_id",
        "root_trace_id",
        "secret_rule",
        "server_span",
        "server_span_id",
        "span",
        "span_at_begin",
        "span_watch",
        "stands_in",
        "start_s",
        "start_unix_ns",
        "status",
        "thread",
        "typed",
    )

    def __init__(self, ids: RequestIds, plan: Plan, g: object, context_id: int, method: str) -> None:
        """Start with what is known at the begin."""
        self.ids = ids
        self.plan = plan
        self.g = g
        self.context_id = context_id
        self.method = method
        self.before: dict[str, object] | None = None
        self.span_at_begin: Span = INVALID_SPAN
        self.outer: LiveRequest | None = None
        self.displaced: LiveRequest | None = None
        self.span: Span | None = None
        self.context: Context | None = None
        self.server_span: ServerSpan | None = None
        self.reached_upstream = self.stands_in = self.has_page = self.is_told = False
        self.request_id: str | None = None
        self.own_id = False
        self.root_trace_id: int | None = None
        self.dispatched = False
        self.at_border = False
        self.answered = False
        self.finished = False
        self.status = 500
        self.span_watch: SpanWatch | None = None
        self.child_spans: list[ChildSpans] | None = None
        self.server_span_id = 0
        self.path = ""
        self.secret_rule: str | None = None
        self.error: RequestError | None = None
        self.raised: Exception | None = None
        self.recovered = False
        self.first_byte_s: float | None = None
        self.thread = 0
        self.cpu_s: float | None = None
        self.added: list[Any] = []
        self.typed: object = None
        self.logs: Any = None
        self.log_fields: Any = None
        self.log_lines: Any = None
        self.start_unix_ns = time.time_ns()
        self.start_s = time.perf_counter()


live_request: ContextVar[LiveRequest | None] = ContextVar("flask_chest_live_request", default=None)
"""The request in which the running code runs; id generators and span processors read it."""
