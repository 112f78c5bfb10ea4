"""The span of a Socket.IO event. It has the place of the server span, without a WSGI entry and without a response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind

from flask_chest_otel._guard import guarded
from flask_chest_otel._server_span.factory import error_type_of
from flask_chest_otel._server_span.span import NO_STATUS, ServerSpan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

    from flask_chest_otel._server_span.factory import ServerSpanFactory

__all__ = ["EventSpan"]


class EventSpan(ServerSpan):
    """One event and its span; events are in no metric of requests."""

    __slots__ = ("_refused",)

    def __init__(self, spans: ServerSpanFactory | None, environ: dict[str, object]) -> None:
        super().__init__(spans, environ)
        self._refused = False

    def begin(self, name: str, attributes: Mapping[str, str]) -> tuple[Span | None, Context | None]:
        """Start the span and make it current; return it with its context."""
        self._opened = True
        if self._spans is None:
            return None, None
        self._span = span = self._started(name, attributes)
        self._ends = self._counted = True
        self._context = trace.set_span_in_context(span)
        self._token = otel_context.attach(self._context)
        return span, self._context

    def _started(self, name: str, attributes: Mapping[str, str]) -> Span:
        """Start a trace for the event, with a link to the trace of the connection, if that has one.

        The span's kind is CONSUMER by the conventions for messaging: the client sends an event and does not wait.
        """
        arrived = trace.get_current_span(self._spans.arrivals.context_in(self._environ)).get_span_context()
        links = [trace.Link(arrived)] if arrived.is_valid else None
        started: Span = self._spans.tracer.start_span(
            f"socketio {name}", Context(), SpanKind.CONSUMER, attributes, links, self._start_ns
        )
        return started

    def describe(self, attributes: dict[str, Any], status: int) -> None:  # noqa: ARG002 - a server span's signature
        """Set attributes of the event on the span, which has no HTTP status."""
        if self._span is not None:
            self._span.set_attributes(attributes)

    def refuse(self) -> None:
        """Note that the application refuses the connection: the exception is its answer, and no failure."""
        self._refused = True

    def fail(self, error: BaseException | None, stack: str | None = None) -> None:
        """Note the exception that ends the event, and its stack trace."""
        if not self._refused and error is not self._error:
            super().fail(error, stack)

    def end(self, ended_s: float | None = None) -> None:
        """Detach the context and end the span; further calls do nothing."""
        with guarded("event"):
            if self._token is not None:
                otel_context.detach(self._token)
                self._token = None
        super().end(ended_s)

    def _end(self, span: Span, duration_s: float) -> None:
        error = self._error
        if self.tell is not None and error is not None:
            self.tell(error)
        with guarded("describe"):
            if span.is_recording():
                self._spans.describe_failure(span, error_type_of(error, NO_STATUS), error, self._stack)
        span.end(self._start_ns + int(duration_s * 1e9))
