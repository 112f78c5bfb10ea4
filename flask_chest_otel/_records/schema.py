"""Turns a record into rows of tables, with plain values that every database takes."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flask_chest_otel._records.tables import (
    TIMED,
    DetailsRow,
    RequestRow,
    VariableRow,
)

if TYPE_CHECKING:
    from flask_chest_otel._records.record import ChildSpan, RequestError, RequestRecord

__all__ = [
    "SCHEMA_VERSION",
    "began_unix_ns",
    "clean",
    "details_row",
    "key_at",
    "read_value",
    "record_key",
    "request_row",
    "shape",
    "span_object",
    "utc_text",
    "utc_time",
]

SCHEMA_VERSION = 1
"""Version of the schema, written into each file and database. Programs that know only smaller ones must not write.

The version does not rise when nullable columns, tables and indices are added: a worker of an older release continues to
write beside a newer one, and each back end checks which columns are missing.
"""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def shape(record: RequestRecord, time: object) -> tuple[RequestRow, list[VariableRow]]:
    """The rows of one request.

    Args:
        record: The request.
        time: Its ``start_unix_ns`` in the form that the database takes: the result of ``utc_text`` or ``utc_time``.
    """
    request = request_row(record, time)
    key = request.record_key
    return request, [VariableRow(key, clean(name), time, *_columns(value)) for name, value in record.variables.items()]


def request_row(record: RequestRecord, time: object) -> RequestRow:
    """The row of ``REQUESTS`` for a record; arguments as for ``shape``."""
    row = (
        record_key(record),
        time,
        clean(record.request_id),
        record.trace_id,
        record.span_id,
        clean(record.service),
        clean(record.method),
        None if record.route is None else clean(record.route),
        record.status,
        round(record.duration_s * 1000, 3),
        clean(json.dumps(dict(record.refused))) if record.refused else None,
        clean(record.path),
        None if record.version is None else clean(record.version),
        _ms(record.cpu_s),
        _ms(record.first_byte_s),
        *_timing_columns(record),
        record.spans_dropped,
        int(record.spans_complete),
        record.logs_dropped,
        *_error_columns(record.error),
        _slos_text(tuple(record.slos.items())) if record.slos else "",
    )
    return RequestRow._make(row)


def details_row(record: RequestRecord) -> DetailsRow | None:
    """The row of ``DETAILS`` with child spans and log lines; ``None`` where the record has neither."""
    if not record.spans and not record.logs:
        return None
    spans = [span_object(span) for span in record.spans]
    logs = [line._asdict() for line in record.logs]
    return DetailsRow(record_key(record), _json(spans) if spans else None, _json(logs) if logs else None)


@lru_cache(maxsize=256)
def _slos_text(verdicts: tuple[tuple[str, bool], ...]) -> str:
    return json.dumps(dict(verdicts), separators=(",", ":"))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


_NOT_TIMED = (0, 0.0) * len(TIMED)
_NOT_SEEN = (None, None) * len(TIMED)


def _timing_columns(record: RequestRecord) -> tuple[float | None, ...]:
    timings = record.timings
    if not timings:
        return _NOT_TIMED if record.spans_complete else _NOT_SEEN
    found = [timings.get(kind, (0, 0.0)) for kind in TIMED]
    return tuple(number for count, seconds in found for number in (count, round(seconds * 1000, 3)))


_NO_ERROR = (None,) * 5


def _error_columns(error: RequestError | None) -> tuple[object, ...]:
    if error is None:
        return _NO_ERROR
    texts = error.type, error.place, error.message, error.stack
    kind, *others = map(clean, texts)
    return (kind, int(error.handled), *others)


def span_object(span: ChildSpan) -> dict[str, object]:
    """A child span as a dict that can be written as JSON."""
    found = {**span._asdict(), "duration_ms": _ms(span.duration_s), "attributes": dict(span.attributes)}
    del found["duration_s"]
    found["events"] = [{**event._asdict(), "attributes": dict(event.attributes)} for event in span.events]
    return found


def _json(value: object) -> str:
    return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))


def record_key(record: RequestRecord) -> str:
    """The key of a record: 32 hex digits, always the same for the same record.

    The first half is the time in nanoseconds, so that keys sort by time and new rows go to the end of the table. The
    second half is a digest of values that differ between two requests of the same nanosecond. Trace id and span id
    cannot be the key: both are missing where tracing is off.
    """
    parts = (
        record.duration_s,
        record.service,
        record.request_id,
        record.trace_id,
        record.span_id,
        record.method,
        record.route,
        record.status,
    )
    digest = hashlib.blake2b(repr(parts).encode(errors="replace"), digest_size=8)
    return key_at(record.start_unix_ns) + digest.hexdigest()


def key_at(unix_ns: int) -> str:
    """The first half of all keys of a nanosecond; smaller than every key of a later time."""
    return f"{max(0, unix_ns):016x}"


def began_unix_ns(key: str) -> int:
    """When the request of a key began, nanoseconds since 1970 UTC; 0 for a text that is not a key."""
    try:
        return int(key[:16], 16)
    except ValueError:
        return 0


def utc_time(unix_ns: int) -> datetime:
    """The time as an aware object, in UTC with microseconds."""
    return _EPOCH + timedelta(microseconds=unix_ns // 1000)


def utc_text(unix_ns: int) -> str:
    """ISO 8601 in UTC with microseconds, always 27 characters, so that text order is time order."""
    seconds, rest_ns = divmod(unix_ns, 1_000_000_000)
    return f"{_second_text(seconds)}.{rest_ns // 1000:06d}Z"


@lru_cache(maxsize=8)
def _second_text(unix_s: int) -> str:
    # Formatting takes longer than the rest of a row, and many requests begin in the same second.
    return f"{_EPOCH + timedelta(seconds=unix_s):%Y-%m-%dT%H:%M:%S}"


def read_value(kind: str, text: str) -> object:
    """The value of a variable, from the columns ``type`` and ``text_value``."""
    readers: dict[str, Any] = {"bool": "true".__eq__, "int": int, "float": float, "list": json.loads}
    return readers.get(kind, str)(text)


def _columns(value: object) -> tuple[str, str, float | None]:
    # bool first, as it is a subclass of int.
    if isinstance(value, bool):
        return "bool", str(value).lower(), int(value)
    if isinstance(value, int):
        return "int", str(value), value
    if isinstance(value, float):
        # value - value is not 0 for NaN and infinity, which most databases cannot store.
        return "float", repr(value), value if value - value == 0 else None
    if isinstance(value, tuple):
        return "list", clean(json.dumps(value, ensure_ascii=False)), None
    return "str", clean(str(value)), None


def clean(text: str) -> str:
    """Replace the characters in ``text`` that databases refuse."""
    # No database takes lone surrogates, and some end a text at the first NUL.
    if text.isascii() and "\0" not in text:
        return text
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")
