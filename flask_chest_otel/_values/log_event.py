"""A log record with a name, before it is anybody's message."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ERROR", "INFO", "LogEvent"]

INFO, ERROR = 9, 17
"""Severity numbers of OpenTelemetry's log data model."""


class LogEvent(NamedTuple):
    """A log record with a name.

    Attributes:
        name: Its ``event_name``.
        time_unix_ns: When it happened, nanoseconds since 1970 UTC.
        severity: Number of its severity: ``INFO`` or ``ERROR``.
        trace_id: 32 lower-case hex digits of the server span, or ``None``.
        span_id: 16 of the same, or ``None``.
        sampled: Whether that span is exported.
        body: One line for people.
        attributes: Everything else.
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
        """The severity in words."""
        return "ERROR" if self.severity == ERROR else "INFO"
