"""The JSON of a request. ``docs/reference/commands.schema.json`` describes the same form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._records.schema import utc_text

if TYPE_CHECKING:
    from flask_chest_otel._records.record import ChildSpan, LogLine
    from flask_chest_otel._store.answers import RequestDetails, StoredRequest

__all__ = ["details_object", "request_object"]

_PLAIN = (
    *("key", "time", "request_id", "trace_id", "span_id", "service", "version", "method", "route", "path", "status"),
    *("duration_ms", "cpu_ms", "first_byte_ms", "variables"),
)
_LAST = ("spans_complete", "spans_dropped", "logs_dropped")


def request_object(one: StoredRequest) -> dict[str, object]:
    """Return a request as JSON values."""
    return {
        **{name: getattr(one, name) for name in _PLAIN},
        "refused": dict(one.refused or {}),
        "error": None if one.error is None else one.error._asdict(),
        "timings": {kind: {"count": count, "ms": took_ms} for kind, (count, took_ms) in one.timings.items()},
        **{name: getattr(one, name) for name in _LAST},
        "slos": dict(one.slos),
    }


def details_object(found: RequestDetails) -> dict[str, object]:
    """Return a request with its child spans and log lines as JSON values."""
    return {
        **request_object(found.request),
        "spans": [_span(one) for one in found.spans],
        "logs": [_log(one) for one in found.logs],
    }


def _span(one: ChildSpan) -> dict[str, object]:
    return {
        **{name: getattr(one, name) for name in ("name", "kind", "span_id", "parent_id", "status")},
        "time": utc_text(one.start_unix_ns),
        "duration_ms": one.duration_s * 1000,
        "attributes": dict(one.attributes),
        "events": [
            {"name": event.name, "time": utc_text(event.time_unix_ns), "attributes": dict(event.attributes)}
            for event in one.events
        ],
    }


def _log(one: LogLine) -> dict[str, object]:
    return {"time": utc_text(one.time_unix_ns), "level": one.level, "logger": one.logger, "message": one.message}
