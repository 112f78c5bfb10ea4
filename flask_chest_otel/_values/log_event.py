"""``LogEvent``: an OTLP log record with an event name, independent of any exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ERROR", "INFO", "LogEvent"]

INFO, ERROR = 9, 17
"""Severity numbers of OpenTelemetry's log data model."""


class LogEvent(NamedTuple):
    """An OTLP log record with an event name.

    Attributes:
        name: The ``event_name``.
        time_unix_ns: When it happened, nanoseconds since 1970 UTC.
        severity: The severity number: ``INFO`` or ``ERROR``.
        trace_id: Trace id of the server span, 32 lower-case hex digits, or ``None``.
        span_id: Span id of the server span, 16 lower-case hex digits, or ``None``.
        sampled: Whether that span is exported.
        body: One line of text for people.
        attributes: The attributes.
    """

    name: str
    time_unix_ns: int
    severity: int
    trace_id: str | None
    span_id: str | None
    sampled: bool
    body: str
    attributes: Mapping[str, object]

    @property
    def severity_text(self) -> str:
        """The severity text."""
        return "ERROR" if self.severity == ERROR else "INFO"
