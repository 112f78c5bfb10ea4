"""Records the exceptions of requests: as span events, and as log records where OpenTelemetry's opt-in asks for them.

https://opentelemetry.io/docs/specs/semconv/http/http-exceptions/
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Protocol

from werkzeug.exceptions import HTTPException

from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._guard import guarded
from flask_chest_otel._request.failures import is_one_of
from flask_chest_otel._request.lookup import span_here
from flask_chest_otel._values.exceptions import exception_attributes, exception_signals, record_exception, status_of
from flask_chest_otel._values.methods import metric_method
from flask_chest_otel.ids import format_trace_id
from flask_chest_otel.names import CHESTS, EXCEPTION_EVENT, HTTP_REQUEST_METHOD, REQUEST_ID

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from flask_chest_otel._request.live import LiveRequest
    from flask_chest_otel._request.recorder import Recorder
    from flask_chest_otel._server_span.span import ServerSpan
    from flask_chest_otel._values.log_event import LogEvent

__all__ = ["ExceptionLog"]


class TakesEvents(Protocol):
    """Takes log records for export."""

    def put_event(self, event: LogEvent) -> None:
        """Take one log record inside the request; must not wait."""


class HasEvents(Protocol):
    """Knows where log records go."""

    @property
    def events(self) -> TakesEvents | None:
        """The object that takes log records; ``None`` before the first request, and where none are exported."""


class ExceptionLog:
    """Makes events of spans and log records of an application's exceptions.

    Args:
        outlet: Knows where log records go; the first request decides it.
        chars: Longest text of an exception, in characters.
        wanted: Whether to record exceptions that an error handler answers; or the names of the classes to leave out.
        recorder: Stores exceptions in the request's record.

    Attributes:
        on_span: Whether exceptions become span events.
        as_log: Whether exceptions become log records.
    """

    def __init__(self, outlet: HasEvents, chars: int, wanted: bool | tuple[str, ...], recorder: Recorder) -> None:
        self.on_span, self.as_log = exception_signals(os.environ)
        self._outlet = outlet
        self._chars = chars
        self._wanted = wanted
        self._recorder = recorder

    def listen(self, live: LiveRequest, span: ServerSpan) -> None:
        """Let our own server span report the exception that ends its request: it sees the end of the response."""
        if self.as_log and live.span is not None:
            live.is_told = True
            span.tell = partial(self.failed, live)

    def failed(self, live: LiveRequest, error: BaseException) -> None:
        """Record the exception with which a request ended. An exception that stands for a response is not a failure."""
        if self.as_log and status_of(error) >= SERVER_ERROR:
            self._tell(live, error, live.span)

    def answered(self, live: LiveRequest, error: BaseException, *, failed: bool, handled: bool = True) -> None:
        """Record an exception that the application has answered.

        Args:
            live: The request.
            error: What was raised.
            failed: Whether the status of the response is 500 or above.
            handled: Whether an error handler made the response; else the exception itself stood for it.
        """
        if isinstance(self._wanted, tuple) and is_one_of(error, self._wanted):
            return
        # Without failure, the stack trace says little, and formatting it takes longer than everything else here.
        stack = self._recorder.fail(live, error, handled=handled, with_stack=failed)
        # Views raise an HTTPException to answer 404: it is a response, not an error.
        if self._wanted and not isinstance(error, HTTPException):
            self._tell_answered(live, error, stack if failed else "")

    def _tell_answered(self, live: LiveRequest, error: BaseException, stack: str | None) -> None:
        span = live.span or span_here(live)
        if self.on_span and span is not None and span.is_recording():
            record_exception(span, error, self._chars, stack)
        if self.as_log:
            self._tell(live, error, span, stack)

    @guarded("exception as log record")
    def _tell(self, live: LiveRequest, error: BaseException, span: Span | None, stack: str | None = None) -> None:
        from flask_chest_otel._values.log_event import ERROR, LogEvent  # noqa: PLC0415 - few applications opt in

        events = self._outlet.events
        if events is None:
            return
        context = span.get_span_context() if span is not None else None
        if context is not None and not context.is_valid:
            context = None
        attributes = exception_attributes(error, self._chars, stack)
        events.put_event(
            LogEvent(
                name=EXCEPTION_EVENT,
                time_unix_ns=time.time_ns(),
                severity=ERROR,
                trace_id=format_trace_id(context.trace_id) if context is not None else None,
                span_id=f"{context.span_id:016x}" if context is not None else None,
                sampled=context is not None and context.trace_flags.sampled,
                body=f"{attributes['exception.type']}: {attributes['exception.message']}",
                attributes={**attributes, **_about(live)},
            )
        )


def _about(live: LiveRequest) -> dict[str, object]:
    found = {
        HTTP_REQUEST_METHOD: metric_method(live.method) if live.plan.event is None else None,
        **live.plan.place,
        REQUEST_ID: live.request_id,
        CHESTS: live.plan.chests_text,
    }
    return {name: value for name, value in found.items() if value is not None}
