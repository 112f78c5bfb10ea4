"""Our own server span: from the WSGI entry to the last byte of the body.

The clock starts at the WSGI entry. The span starts when the URL is matched and the request id is known, but with the
time of the entry. Both end with the body. The methods are called at each step of the request; this module does not know
the request's record.
"""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._guard import report_error
from flask_chest_otel._server_span.factory import error_type_of
from flask_chest_otel._values.exceptions import status_of
from flask_chest_otel.names import HTTP_RESPONSE_STATUS_CODE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span
    from werkzeug.routing import Rule

    from flask_chest_otel._server_span.attributes import SpanTemplate
    from flask_chest_otel._server_span.factory import ServerSpanFactory

    Complete = Callable[[BaseException | None, int], None]

__all__ = ["NO_STATUS", "ServerSpan"]

NO_DIMENSIONS: Mapping[str, object] = MappingProxyType({})

NO_STATUS = 0
"""The status while it is not known."""


class ServerSpan:
    """The span of one request, from its start to the last byte of the response.

    Attributes:
        dimensions: Values of the application's variables that become attributes of the duration.
        parent: The OpenTelemetry context in which our own server span was started.
        ended: Whether the span has ended and its duration was recorded.
        tell: Called with the exception that ends this request, before the span ends; it must not raise.
    """

    __slots__ = (
        "__weakref__",
        "_active",
        "_answered",
        "_complete",
        "_context",
        "_counted",
        "_described",
        "_ends",
        "_environ",
        "_error",
        "_opened",
        "_sent",
        "_span",
        "_spans",
        "_stack",
        "_start_ns",
        "_start_s",
        "_status",
        "_streamed",
        "_template",
        "_token",
        "dimensions",
        "ended",
        "parent",
        "tell",
    )

    _template: SpanTemplate
    _context: Context

    def __init__(self, spans: ServerSpanFactory | None, environ: dict[str, object]) -> None:
        """Start the clock. With ``spans=None``, no span is made."""
        self._start_ns = time.time_ns()
        self._start_s = time.perf_counter()
        self._spans: Any = spans
        self._environ = environ
        self.parent: Context | None = None
        # Our own server span, that of another instrumentation, or our span inside that; None where none is wanted.
        self._span: Span | None = None
        self._complete: Complete | None = None
        self._sent: Callable[[], None] | None = None
        self.tell: Callable[[BaseException], None] | None = None
        self._stack: str | None = None
        self.dimensions: Mapping[str, object] = NO_DIMENSIONS
        self._token: Token[Context] | None = None
        self._error: BaseException | None = None
        self._opened = self._ends = self._counted = self._streamed = self.ended = False
        # Three statuses: the one that was sent, that of the application's response, that set on the span already.
        self._status = self._answered = self._described = NO_STATUS

    @property
    def is_own(self) -> bool:
        """Whether this package made the server span."""
        return self._counted

    def open(
        self, method: str, route: str | None, chests: str | None, path: str, rule: Rule | None, *, inside: bool
    ) -> tuple[Span | None, Context | None]:
        """Start the span once the request id is chosen; return it with the context in which it is current.

        Args:
            method: The HTTP method.
            route: The matched rule with the application's root before it; ``None`` where no rule matched.
            chests: The value of ``flask.chests``; ``None``: the data may go everywhere.
            path: The path of the URL, percent-encoded.
            rule: The matched rule, which names the view.
            inside: Whether an instrumentation around the application has made a server span.
        """
        self._opened = True
        if self._spans is None:
            return None, None
        self._template = self._spans.template(self._environ, method, route, chests, rule)
        return self._open_inside(route, rule) if inside else self._open_own(path, rule)

    def _open_own(self, path: str, rule: Rule | None) -> tuple[Span, Context]:
        spans, template = self._spans, self._template
        self._span, self.parent = span, parent = spans.start(self._environ, template, path, self._start_ns)
        self._ends = self._counted = True
        context = trace.set_span_in_context(span, parent)
        self._context = context if spans.sql_comments is None else spans.sql_comments.put(context, rule)
        self._token = otel_context.attach(self._context)
        self._active = spans.active.enter(template.place, self)
        spans.call_request_hook(span, self._environ)
        return span, self._context

    def _open_inside(self, route: str | None, rule: Rule | None) -> tuple[Span, Context]:
        server, context = trace.get_current_span(), otel_context.get_current()
        self._context = context if self._spans.sql_comments is None else self._spans.sql_comments.put(context, rule)
        self._span = span = self._spans.start_inside(server, self._template, route, self._start_ns)
        if span is not server:
            self._ends = True
            self._context = trace.set_span_in_context(span, self._context)
        if self._context is not context:
            self._token = otel_context.attach(self._context)
        self._spans.call_request_hook(server, self._environ)
        return server, context

    def respond(self, status: int, *, streamed: bool) -> None:
        """Note the application's response; ``streamed``: its body is made while it is sent."""
        self._answered = status
        self._streamed = streamed

    def describe(self, attributes: dict[str, Any], status: int) -> None:
        """Set attributes of the request, and the status, on the span."""
        if self._span is not None:
            self._described = attributes[HTTP_RESPONSE_STATUS_CODE] = status
            self._span.set_attributes(attributes)

    def send(self) -> None:
        """Note that a piece of the body is ready to be sent."""
        if self._sent is not None:
            self._sent()
            self._sent = None

    def fail(self, error: BaseException | None, stack: str | None = None) -> None:
        """Note the exception that ends this request, and its stack trace. The response for it is not streamed."""
        if error is not None:
            self._error, self._stack = error, stack
            self._streamed = False

    @property
    def streams(self) -> bool:
        """Whether the body is still to be made, and our own server span ends with it."""
        return self._streamed and self._counted and not self.ended

    def at_end(self, complete: Complete, sent: Callable[[], None] | None = None) -> bool:
        """Register callbacks for the end of the response; ``False``: it has ended, or we will not see its end.

        Args:
            complete: Called before the span ends, with the exception or ``None``, and the status that was sent or 0.
            sent: Called when the first piece of a streamed body is ready.
        """
        if self.ended or (self._streamed and not self._counted):
            return False
        self._complete, self._sent = complete, sent
        return True

    def end(self, ended_s: float | None = None) -> None:
        """End the span and record its duration; further calls do nothing.

        Args:
            ended_s: The time of the end on the monotonic clock, seconds; ``None``: now.
        """
        if self.ended:
            return
        self.ended = True
        duration_s = (time.perf_counter() if ended_s is None else ended_s) - self._start_s
        try:
            if self._complete is not None:
                self._complete(self._error, self._status or self._answered)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("record", error)
        try:
            if self._span is not None:
                self._end(self._span, duration_s)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("end", error)
        # Break the reference cycle: the server's frames hold this object, and an exception holds frames.
        self._complete = self._sent = self.tell = self._error = None

    def _end(self, span: Span, duration_s: float) -> None:
        spans, template = self._spans, self._template
        if self._counted:
            self._active.discard(self)
        status = self._status or self._answered or self._status_of_error()
        error_type = error_type_of(self._error, status)
        if self.tell is not None and self._error is not None:
            self.tell(self._error)
        if span.is_recording():
            try:
                if self._ends:
                    self._spans.describe_end(span, status, self._described, error_type, self._error, self._stack)
                elif self._error is not None:
                    # The instrumentation that made the span sets the rest, but cannot see the exception behind a 500.
                    self._spans.record_exception(span, self._error, self._stack)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("describe", error)
        try:
            if self._ends:
                # Start plus duration, not the wall clock: if that was set back, the end would lie before the start.
                span.end(self._start_ns + int(duration_s * 1e9))
        except Exception as error:  # noqa: BLE001 - a span processor may be the application's code; the guard decides
            report_error("span processor", error)
        spans.measure(template, duration_s, (status, error_type), self._context, self.dimensions)

    def _status_of_error(self) -> int:
        status = status_of(self._error)
        self._error = self._error if status >= SERVER_ERROR else None  # else the exception stands for a response
        return status
