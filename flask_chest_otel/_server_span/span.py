"""A server span of our own: from the WSGI entry to the last byte of the body.

It starts its clock at the WSGI entry, its span when the URL is matched and the request id is known (with the entry's
time), and ends both with the body. Its methods tell it what happens; it knows nothing of the request's record.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace

from flask_chest_otel._guard import guarded, report_error
from flask_chest_otel._server_span.factory import SERVER_ERROR
from flask_chest_otel._values.exceptions import status_of, type_name
from flask_chest_otel.names import HTTP_RESPONSE_STATUS_CODE

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from flask_chest_otel._server_span.attributes import SpanTemplate
    from flask_chest_otel._server_span.factory import ServerSpanFactory

__all__ = ["NO_STATUS", "ServerSpan"]

NO_STATUS = 0
"""Stands for a status that is not known yet."""


class ServerSpan:
    """The span of one request, from its start to the last byte of the response.

    Attributes:
        parent: The OpenTelemetry context in which a server span of our own was started.
        ended: Whether the span has ended and was measured.
    """

    __slots__ = (
        "__weakref__",
        "_answered",
        "_complete",
        "_context",
        "_counted",
        "_described",
        "_ends",
        "_environ",
        "_error",
        "_opened",
        "_span",
        "_spans",
        "_start_ns",
        "_start_s",
        "_status",
        "_streamed",
        "_tell",
        "_template",
        "_token",
        "ended",
        "parent",
    )

    _template: SpanTemplate
    _context: Context

    def __init__(self, spans: ServerSpanFactory | None, environ: dict[str, Any]) -> None:
        """Start the clock; where ``spans`` is ``None``, no span is wanted."""
        self._start_ns = time.time_ns()
        self._start_s = time.perf_counter()
        self._spans: Any = spans
        self._environ = environ
        self.parent: Context | None = None
        # What the end is described on: the server span of our own or of an instrumentation around the application, or
        # a span inside that; None where neither is wanted.
        self._span: Span | None = None
        self._complete: Callable[[BaseException | None], None] | None = None
        self._tell: Callable[[BaseException], None] | None = None
        self._token: Any = None
        self._error: BaseException | None = None
        self._opened = self._ends = self._counted = self._streamed = self.ended = False
        # The status: on the wire, of the application's response, and as it stands on the span already.
        self._status = self._answered = self._described = NO_STATUS

    # In the order of a request

    @property
    def is_own(self) -> bool:
        """Whether the server span is our own."""
        return self._counted

    def open(
        self, method: str, route: str | None, chests: str | None, *, inside: bool
    ) -> tuple[Span | None, Context | None]:
        """The URL is matched, the request id chosen: start the span and make it current.

        Args:
            method: The request's.
            route: The matched rule, below the application's root; ``None`` where there is none.
            chests: The request's destinations, as they stand on spans; ``None``: everywhere.
            inside: Whether an instrumentation around the application has made a server span.

        Returns:
            The server span, and the context in which it is current; ``None`` where it is not our business.
        """
        self._opened = True
        if self._spans is None:
            return None, None
        self._template = self._spans.template(self._environ, method, route, chests)
        return self._open_inside(route) if inside else self._open_own()

    def _open_own(self) -> tuple[Span, Context]:
        spans, template = self._spans, self._template
        span, parent = spans.start(self._environ, template, self._start_ns)
        self.parent, self._span = parent, span
        self._ends = self._counted = True
        self._context = trace.set_span_in_context(span, parent)
        self._token = otel_context.attach(self._context)
        spans.active.enter((template.method, template.scheme), self)
        if spans.request_hook is not None:
            with guarded("request_hook"):
                spans.request_hook(span, self._environ)
        return span, self._context

    def _open_inside(self, route: str | None) -> tuple[Span, Context]:
        server, context = trace.get_current_span(), otel_context.get_current()
        self._context = context
        self._span = span = self._spans.start_inside(server, self._template, route, self._start_ns)
        if span is not server:
            self._ends = True
            self._context = trace.set_span_in_context(span)
            self._token = otel_context.attach(self._context)
        return server, context

    def respond(self, status: int, *, streamed: bool) -> None:
        """The application has a response, whose body is made while it is sent if it is ``streamed``."""
        self._answered = status
        self._streamed = streamed

    def describe(self, attributes: dict[str, Any], status: int) -> None:
        """Write attributes of the request onto the span, and the status with them."""
        if self._span is not None:
            self._described = attributes[HTTP_RESPONSE_STATUS_CODE] = status
            self._span.set_attributes(attributes)

    def fail(self, error: BaseException | None) -> None:
        """Remember the exception that ends this request; what is answered for it is complete."""
        if error is not None:
            self._error = error
            self._streamed = False

    def postpone(self, complete: Callable[[BaseException | None], None]) -> bool:
        """Call ``complete`` when the body was sent, before the span ends; whether there is such a body still."""
        if self._streamed and self._counted:
            self._complete = complete
            return True
        return False

    def resume(self) -> Any:
        """Make the span current while a piece of the body is made; give the result to :meth:`pause`."""
        return otel_context.attach(self._context)

    def pause(self, token: Any) -> None:
        """Undo :meth:`resume`."""
        otel_context.detach(token)

    def end(self, ended_s: float | None = None) -> None:
        """End the span and measure it; once.

        Args:
            ended_s: When it was over, on the monotonic clock; ``None``: now.
        """
        if self.ended or self._span is None:
            return
        self.ended = True
        try:
            self._end(self._span, ended_s)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("end", error)
        finally:
            self._complete = self._tell = None

    def _end(self, span: Span, ended_s: float | None) -> None:
        duration_s = (time.perf_counter() if ended_s is None else ended_s) - self._start_s
        spans, template = self._spans, self._template
        if self._counted:
            spans.active.leave((template.method, template.scheme), self)
        if self._complete is not None:
            self._complete(self._error)
        status = self._status or self._answered or self._status_of_error()
        error_type = self._error_type(status)
        if self._tell is not None and self._error is not None:
            self._tell(self._error)
        if span.is_recording():
            try:
                self._describe_end(span, status, error_type)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("describe", error)
        try:
            if self._ends:
                # Not what the clock says now: that may have been set meanwhile, and put the end before the beginning.
                span.end(self._start_ns + int(duration_s * 1e9))
        except Exception as error:  # noqa: BLE001 - a span processor of the application's, and the guard decides
            report_error("span processor", error)
        spans.measure(template, duration_s, (status, error_type), self._context)

    def _status_of_error(self) -> int:
        status = status_of(self._error)
        if status < SERVER_ERROR:
            self._error = None  # an answer, which is given further out
        return status

    def _error_type(self, status: int) -> str | None:
        if self._error is not None:
            return type_name(self._error)
        return str(status) if status >= SERVER_ERROR else None

    def _describe_end(self, span: Span, status: int, error_type: str | None) -> None:
        if not self._ends:
            # Its own instrumentation says the rest, and cannot see what Flask has answered with a 500.
            if self._error is not None:
                self._spans.record_exception(span, self._error)
            return
        if self._described != status:
            span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status)
        if self._spans.legacy is not None:
            span.set_attribute("http.status_code", status)
        self._spans.describe_failure(span, error_type, self._error)
