"""The fields of log lines: ids of the running request, and values of its tracked variables."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING

from flask import has_request_context
from opentelemetry import context as otel_context
from opentelemetry import trace

from flask_chest_otel._guard import printable, report_error
from flask_chest_otel._request.live import LiveRequest, live_request
from flask_chest_otel._request.lookup import present_request, request_of
from flask_chest_otel._values.convert import Refused
from flask_chest_otel.ids import format_trace_id
from flask_chest_otel.names import LOG_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.context import Context

    from flask_chest_otel._request.reader import ValueReader

__all__ = [
    "ABSENT",
    "LineFields",
    "LogFields",
    "fields_of",
    "finished_here",
    "finished_request",
    "innermost",
    "one_line",
    "request_here",
    "request_is_over",
]

ABSENT = "-"
"""The value of a field that has none: outside of requests, or before a variable is set."""

_IDS = frozenset(LOG_FIELDS)

finished_request: ContextVar[weakref.ref[LiveRequest] | None] = ContextVar("flask_chest_finished_request", default=None)
"""The request that ended last in this thread: the server writes its access log line after the end.

The reference is weak: the WSGI environment holds the request, and the server frees the environment afterwards.
"""

_reading: ContextVar[bool] = ContextVar("flask_chest_reading_log_fields", default=False)


class LineFields:
    """The fields of log lines, prepared for all lines with the same request and the same OpenTelemetry context.

    Args:
        found: The fields whose values do not change.
        varying: The names of the fields that are read for each line.
        context: The OpenTelemetry context.
        blank: The fields of lines outside of requests, from which these were made.

    Attributes:
        ids: The values of the three fields that ``log_fields`` has by default; ``None`` where one is missing.
        others: The further fields of ``found``.
    """

    __slots__ = ("blank", "context", "found", "ids", "others", "varying")

    def __init__(
        self,
        found: dict[str, object],
        varying: list[str] | None = None,
        context: Context | None = None,
        blank: LineFields | None = None,
    ) -> None:
        self.found = found
        self.varying = varying
        self.context = context
        self.blank = blank
        self.ids = tuple(map(found.__getitem__, LOG_FIELDS)) if found.keys() >= _IDS else None
        self.others = {name: value for name, value in found.items() if name not in _IDS}


class LogFields:
    """Computes the fields for log lines of one application's requests.

    Args:
        names: The fields that every log line gets; empty: lines are not changed.
        reader: Reads the values of variables.
    """

    def __init__(self, names: tuple[str, ...], reader: ValueReader) -> None:
        self.names = names
        self.variables = [name for name in names if name not in _IDS]
        self._reader = reader

    def ids(self, live: LiveRequest, context: Context) -> dict[str, object]:
        """The request id, and the ids of the span that is current in an OpenTelemetry context."""
        span = trace.get_current_span(context).get_span_context()
        if not span.is_valid and live.span is not None:
            span = live.span.get_span_context()  # a thread with a copy of Flask's context has no OpenTelemetry context
        request_id = live.request_id or live.ids.decide(live)
        if not span.is_valid:
            return dict(zip(LOG_FIELDS, (request_id, ABSENT, ABSENT), strict=True))
        return dict(zip(LOG_FIELDS, (request_id, format_trace_id(span.trace_id), f"{span.span_id:016x}"), strict=True))

    def values(self, live: LiveRequest, names: Iterable[str]) -> dict[str, object]:
        """The present values of tracked variables, bounded and masked, each on one line."""
        found: dict[str, object] = {}
        plain = self._reader.plain_text
        for name in names:
            text = plain(live, name)
            found[name] = text if text is not None else self._value(live, name)
        return found

    def _value(self, live: LiveRequest, name: str) -> object:
        if _reading.get():
            return ABSENT  # reading a value runs code of the application, and that code logs
        token = _reading.set(True)
        try:
            return self._read(live, name)
        finally:
            _reading.reset(token)

    def _read(self, live: LiveRequest, name: str) -> object:
        value = None
        try:
            value = self._reader.value(live, name)
        except Refused:
            pass  # it is counted when the request ends
        except Exception as error:  # noqa: BLE001 - a property or a conversion of the application may raise anything
            report_error("log field", error)
        if value is None:
            return ABSENT
        return one_line(value)


def one_line(value: object) -> object:
    """A value as a field of a log line: a text with line ends and control characters escaped."""
    return printable(value) if isinstance(value, str) and not value.isprintable() else value


def request_here() -> LiveRequest | None:
    """The request that the running code belongs to.

    It is also found in teardown functions, in threads with the request's context, and while the body is made.
    """
    live = live_request.get()
    if live is not None:
        return live if live.log_fields is not None else innermost(live)
    if has_request_context():
        return request_of(present_request())
    return _not_quite_over() if finished_request.get() is not None else None


def innermost(live: LiveRequest) -> LiveRequest:
    """The request that ended inside of this one and whose teardown functions run, where there is one; else this one."""
    if has_request_context():
        inner = request_of(present_request())
        if inner is not None and inner.finished:
            return inner
    return live


def _not_quite_over() -> LiveRequest | None:
    """The request that ended last, where its server span, or a span inside that, is still current."""
    live = finished_here(once=False)
    context = otel_context.get_current()
    if live is None or live.span is None or not context:
        return None
    current = trace.get_current_span(context).get_span_context()
    return live if current.trace_id == live.span.get_span_context().trace_id else None


def request_is_over(live: LiveRequest) -> None:
    """Remember a finished request for the log line that the server writes after it."""
    finished_request.set(weakref.ref(live))


def finished_here(*, once: bool) -> LiveRequest | None:
    """The request that ended last in this thread, while the server still holds its environment.

    Args:
        once: Whether to forget it afterwards.
    """
    reference = finished_request.get()
    live = reference() if reference is not None else None
    if once or live is None:
        finished_request.set(None)
    return live


def fields_of(live: LiveRequest | None, names: Iterable[str]) -> dict[str, object]:
    """The values of the fields ``names`` for a request; ``-`` where there is no value."""
    found: dict[str, object] = dict.fromkeys(names, ABSENT)
    if live is not None and live.logs is not None:
        ids = live.logs.ids(live, otel_context.get_current())
        values = live.logs.values(live, found.keys() - _IDS) if found.keys() - _IDS else {}
        found = {name: ids.get(name) or values.get(name, ABSENT) for name in found}
    return found
