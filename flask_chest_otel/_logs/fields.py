"""The fields that log lines get: ids of the running request, and values of its tracked variables."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING

from flask import has_request_context
from opentelemetry import context as otel_context
from opentelemetry import trace

from flask_chest_otel._guard import printable, report_error
from flask_chest_otel._request.live import LiveRequest, live_request
from flask_chest_otel._request.lookup import present_request, request_in
from flask_chest_otel._values.convert import Refused
from flask_chest_otel.ids import format_trace_id
from flask_chest_otel.names import LOG_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.context import Context

    from flask_chest_otel._request.reader import ValueReader

__all__ = ["ABSENT", "LogFields", "fields_of", "finished_here", "finished_request", "request_here", "request_is_over"]

ABSENT = "-"
"""What a field holds where there is nothing: outside of requests, or before a value is there."""

_IDS = frozenset(LOG_FIELDS)

finished_request: ContextVar[weakref.ref[LiveRequest] | None] = ContextVar("flask_chest_finished_request", default=None)
"""The request that has ended last in this thread: the server writes its access line after that.

Weak: the WSGI environment keeps the request, and the server drops the environment when it is done with the request.
"""

_reading: ContextVar[bool] = ContextVar("flask_chest_reading_log_fields", default=False)


class LogFields:
    """What the lines of one application's requests say.

    Args:
        names: The fields that every line of these requests gets; none: lines are left alone.
        reader: Reads the values of variables.
    """

    def __init__(self, names: tuple[str, ...], reader: ValueReader) -> None:
        self.names = names
        self.variables = [name for name in names if name not in _IDS]
        self._reader = reader

    def ids(self, live: LiveRequest, context: Context) -> dict[str, object]:
        """The ids of a request, and of the span that is current in an OpenTelemetry context."""
        span = trace.get_current_span(context).get_span_context()
        if not span.is_valid and live.span is not None:
            span = live.span.get_span_context()  # a thread has Flask's context, and not OpenTelemetry's
        request_id = live.request_id or live.ids.decide(live)
        if not span.is_valid:
            return dict(zip(LOG_FIELDS, (request_id, ABSENT, ABSENT), strict=True))
        return dict(zip(LOG_FIELDS, (request_id, format_trace_id(span.trace_id), f"{span.span_id:016x}"), strict=True))

    def values(self, live: LiveRequest, names: Iterable[str]) -> dict[str, object]:
        """The values of tracked variables at this moment, bounded and masked, each as one line."""
        if _reading.get():
            return {}  # code of the application's, which is asked for a value, logs
        token = _reading.set(True)
        try:
            return {name: self._value(live, name) for name in names}
        finally:
            _reading.reset(token)

    def _value(self, live: LiveRequest, name: str) -> object:
        value = None
        try:
            value = self._reader.value(live, name)
        except Refused:
            pass  # counted when the request ends
        except Exception as error:  # noqa: BLE001 - a property or a conversion of the application's
            report_error("log field", error)
        if value is None:
            return ABSENT
        return printable(value) if isinstance(value, str) and not value.isprintable() else value


def request_here() -> LiveRequest | None:
    """The request that the running code belongs to.

    Also in its teardown functions, in threads with its context, and where its body is made.
    """
    live = live_request.get()
    if live is not None:
        return live
    if has_request_context():
        return request_in(present_request().environ)
    return _not_quite_over() if finished_request.get() is not None else None


def _not_quite_over() -> LiveRequest | None:
    """The request that has ended last, where its server span, or a span inside it, is still current."""
    live = finished_here(once=False)
    context = otel_context.get_current()
    if live is None or live.span is None or not context:
        return None
    current = trace.get_current_span(context).get_span_context()
    return live if current.trace_id == live.span.get_span_context().trace_id else None


def request_is_over(live: LiveRequest) -> None:
    """Remember a request for the line that the server writes after it."""
    finished_request.set(weakref.ref(live))


def finished_here(*, once: bool) -> LiveRequest | None:
    """The request that has ended last in this thread, while the server still works on it.

    Args:
        once: Forget it then.
    """
    reference = finished_request.get()
    live = reference() if reference is not None else None
    if once or live is None:
        finished_request.set(None)
    return live


def fields_of(live: LiveRequest | None, names: Iterable[str]) -> dict[str, object]:
    """These fields of a request."""
    found: dict[str, object] = dict.fromkeys(names, ABSENT)
    if live is not None and live.logs is not None:
        ids = live.logs.ids(live, otel_context.get_current())
        values = live.logs.values(live, found.keys() - _IDS) if found.keys() - _IDS else {}
        found = {name: ids.get(name) or values.get(name, ABSENT) for name in found}
    return found
