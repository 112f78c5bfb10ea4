"""Format of child spans and log lines in the store: JSON, compressed with zlib.

Without compression they take several times as much space, so the store would hold fewer requests. In Python,
``json.loads(zlib.decompress(…))`` reads them.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from flask_chest_otel._records.record import ChildSpan, LogLine, SpanEvent

__all__ = ["log_lines", "pack", "spans", "unpack"]

WINDOW_BITS, MEMORY_LEVEL = 12, 5
"""Small tables for zlib: with the default ones, clearing them would take longer than compressing most texts."""


def pack(text: str | None) -> bytes | None:
    """Return ``text`` compressed; ``None`` for ``None``."""
    if text is None:
        return None
    squeeze = zlib.compressobj(6, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL)
    return squeeze.compress(text.encode()) + squeeze.flush()


def unpack(data: object) -> list[dict[str, Any]]:
    """Return the JSON objects in packed ``data``; an empty list if ``data`` was not packed here."""
    if not isinstance(data, bytes):
        return []
    try:
        found = json.loads(zlib.decompress(data))
    except (zlib.error, ValueError):
        return []
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def spans(data: object) -> tuple[ChildSpan, ...]:
    """Return the child spans in packed ``data``."""
    return tuple(_span(dict(entry)) for entry in unpack(data) if entry.keys() >= _SPAN)


def log_lines(data: object) -> tuple[LogLine, ...]:
    """Return the log lines in packed ``data``."""
    return tuple(
        LogLine(**{name: entry[name] for name in LogLine._fields}) for entry in unpack(data) if entry.keys() >= _LINE
    )


_SPAN = {*ChildSpan._fields, "duration_ms"} - {"duration_s"}
_LINE = {*LogLine._fields}


def _span(entry: dict[str, Any]) -> ChildSpan:
    events = tuple(SpanEvent(**{name: event[name] for name in SpanEvent._fields}) for event in entry["events"])
    duration_s = entry["duration_ms"] / 1000
    known = {name: entry[name] for name in ChildSpan._fields if name in entry}
    return ChildSpan(**{**known, "duration_s": duration_s, "events": events})
