"""What is known of one request while it runs."""

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
    """What is known of a request between its begin and its finish; changed in place, by one thread at a time.

    Attributes:
        ids: What decides its id, one for each application.
        plan: What to record for this endpoint and method.
        g: The ``flask.g`` object that this request began with; a step acts only on its own.
        context_id: The ``id`` of the Flask context that it began in, which holds this record by its environ: a
            reference back would keep both alive.
        before: What stood in ``g`` already (an application context pushed outside), or ``None``.
        span_at_begin: The span that was current at begin.
        outer: The request inside which this one runs, or ``None``.
        displaced: The record whose place in the WSGI environ this one took, or ``None``.
        span: The server span, once it is known.
        context: The OpenTelemetry context in which that span is current.
        server_span: The server span from the WSGI border to the body's end, where the border is ours.
        has_page: Whether an ``HTTPException`` is the answer, whose body is complete.
        reached_upstream: Whether it came past the function in which upstream begins its server span.
        is_told: Whether a server span of ours tells of the exception that it ends with, for a log record.
        stands_in: Whether the server span is ours because upstream's never began.
        request_id: The id, once it is decided.
        own_id: Whether the request brought or generated it (else it was made here).
        root_trace_id: Trace id for roots started before the view, once one was asked for.
        dispatched: Whether the view was reached, after which roots are somebody else's.
        at_border: Whether its WSGI border is ours, where headers are put on.
        answered: Whether the application had a response.
        finished: Whether the record is closed.
        status: HTTP status code, 500 until a response is there.
        logs: What is done with the log lines of this request, once its id can be told.
        log_fields: What its log lines got last, after the OpenTelemetry context and the set of fields that it is of.
        log_lines: Its log lines, where a chest keeps them.
        method: HTTP method as it was received.
        span_watch: Who watches its child spans; ``None``: nobody wants its record.
        child_spans: What takes its child spans, once there is one; ``None``: nobody wants them, or its record is made.
        server_span_id: Of the server span that was started in it, or 0.
        path: Its path as records have it; ``""`` where nobody wants records.
        error: Why it failed, or what was raised and handled, as far as it is known.
        raised: What the view has raised, until it is known who answers it.
        recovered: Whether an error handler of the application answers failures.
        first_byte_s: Monotonic clock when the response began, or ``None``.
        thread: The thread that it began in; with ``cpu_s`` only.
        cpu_s: That thread's processor time at the begin, or ``None``.
        added: What ``add_metric`` took, to be recorded at the end.
        typed: The typed context, once the application asked for it.
        start_unix_ns: Wall-clock time of the begin.
        start_s: Monotonic clock at the begin.
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
        """Start with nothing but the place where the request stands."""
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
        self.error: RequestError | None = None
        self.raised: Exception | None = None
        self.recovered = False
        self.first_byte_s: float | None = None
        self.thread = 0
        self.cpu_s: float | None = None
        self.added: list[Any] = []
        self.typed: object = None
        self.logs: Any = None
        self.log_fields: tuple[Context, dict[str, object], dict[str, object], list[str]] | None = None
        self.log_lines: Any = None
        self.start_unix_ns = time.time_ns()
        self.start_s = time.perf_counter()


live_request: ContextVar[LiveRequest | None] = ContextVar("flask_chest_live_request", default=None)
"""The request that encloses the running code; what id generators and span processors go by."""
