"""The two tables that request records are kept in, and how a record becomes rows of them: as plain values.

No SQL dialect here: the embedded store makes SQLite's statements from these tables, another back end its own.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from flask_chest_otel._records.record import RequestRecord

__all__ = [
    "REQUESTS",
    "SCHEMA_VERSION",
    "VARIABLES",
    "Column",
    "Index",
    "RequestRow",
    "Table",
    "VariableRow",
    "clean",
    "key_at",
    "read_value",
    "record_key",
    "request_row",
    "shape",
    "utc_text",
    "utc_time",
]

SCHEMA_VERSION = 1
"""Raised by one with every change of a table; each back end knows the steps from one version to the next."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Kind = Literal["key", "time", "short", "text", "integer", "real", "number"]
"""``key``: 32 hex digits. ``short``: text of at most 255 characters. ``number``: integer or real."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, kind of value, and whether it may be empty."""

    name: str
    kind: Kind
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """One index over ``columns``, for one usual question."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table. Rows have the order of ``columns``; one whose ``primary_key`` is there is the same row."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    indices: tuple[Index, ...]


REQUESTS = Table(
    name="chest_requests",
    columns=(
        Column("record_key", "key"),
        Column("time", "time"),
        Column("request_id", "short"),
        Column("trace_id", "short", nullable=True),
        Column("span_id", "short", nullable=True),
        Column("service", "short"),
        Column("method", "short"),
        Column("route", "text", nullable=True),
        Column("status", "integer"),
        Column("duration_ms", "real"),
        Column("refused", "text", nullable=True),
    ),
    primary_key=("record_key",),
    indices=(
        Index("chest_requests_request_id", ("request_id",)),
        Index("chest_requests_trace_id", ("trace_id",)),
        Index("chest_requests_time", ("time",)),
    ),
)
"""One row per finished request."""

VARIABLES = Table(
    name="chest_variables",
    columns=(
        Column("request_key", "key"),
        Column("name", "short"),
        Column("time", "time"),
        Column("type", "short"),
        Column("text_value", "text"),
        Column("number_value", "number", nullable=True),
    ),
    primary_key=("request_key", "name"),
    indices=(Index("chest_variables_name_time", ("name", "time")),),
)
"""One row per tracked variable of a request; ``request_key`` is the request's ``record_key``."""


class RequestRow(NamedTuple):
    """A row of ``REQUESTS``; ``time`` is in the form that the database takes."""

    record_key: str
    time: Any
    request_id: str
    trace_id: str | None
    span_id: str | None
    service: str
    method: str
    route: str | None
    status: int
    duration_ms: float
    refused: str | None


class VariableRow(NamedTuple):
    """A row of ``VARIABLES``.

    ``text_value`` holds every value exactly (numbers as Python writes them, lists as JSON); ``number_value`` is for
    sums: the number, 1 or 0 for a bool, empty for everything else and for NaN and infinity.
    """

    request_key: str
    name: str
    time: Any
    type: str
    text_value: str
    number_value: float | None


def shape(record: RequestRecord, time: Any) -> tuple[RequestRow, list[VariableRow]]:
    """The rows of one request.

    Args:
        record: The request.
        time: Its ``start_unix_ns`` in the form that the database takes: ``utc_text`` or ``utc_time`` of it.
    """
    request = request_row(record, time)
    key = request.record_key
    return request, [VariableRow(key, clean(name), time, *_columns(value)) for name, value in record.variables.items()]


def request_row(record: RequestRecord, time: Any) -> RequestRow:
    """The row of a request alone; arguments as for ``shape``."""
    return RequestRow(
        record_key=record_key(record),
        time=time,
        request_id=clean(record.request_id),
        trace_id=record.trace_id,
        span_id=record.span_id,
        service=clean(record.service),
        method=clean(record.method),
        route=None if record.route is None else clean(record.route),
        status=record.status,
        duration_ms=round(record.duration_s * 1000, 3),
        refused=clean(json.dumps(dict(record.refused))) if record.refused else None,
    )


def record_key(record: RequestRecord) -> str:
    """The same 32 hex digits for the same record, whenever and by whomever it is shaped.

    The first half is the time in nanoseconds, so that keys sort by time and new rows go to the end of the table;
    the second half is a digest of what tells apart two requests of the same nanosecond. Trace id and span id
    would not do: both are missing where tracing is off.
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
    """The first half of all keys of that nanosecond; smaller than any key made later."""
    return f"{max(0, unix_ns):016x}"


def utc_time(unix_ns: int) -> datetime:
    """The time as an aware object, in UTC with microseconds."""
    return _EPOCH + timedelta(microseconds=unix_ns // 1000)


def utc_text(unix_ns: int) -> str:
    """ISO 8601 in UTC with microseconds, always 27 characters, so that text order is time order."""
    seconds, rest_ns = divmod(unix_ns, 1_000_000_000)
    return f"{_second_text(seconds)}.{rest_ns // 1000:06d}Z"


@lru_cache(maxsize=8)
def _second_text(unix_s: int) -> str:
    # Formatting costs more than all the rest of a row, and many requests share a second.
    return f"{_EPOCH + timedelta(seconds=unix_s):%Y-%m-%dT%H:%M:%S}"


def read_value(kind: str, text: str) -> Any:
    """The value that was shaped into ``type`` and ``text_value``."""
    readers: dict[str, Any] = {"bool": "true".__eq__, "int": int, "float": float, "list": json.loads}
    return readers.get(kind, str)(text)


def _columns(value: Any) -> tuple[str, str, float | None]:
    # bool first: it is an int to Python.
    if isinstance(value, bool):
        return "bool", str(value).lower(), int(value)
    if isinstance(value, int):
        return "int", str(value), value
    if isinstance(value, float):
        # The difference is not zero for NaN and infinity, which most databases cannot hold.
        return "float", repr(value), value if value - value == 0 else None
    if isinstance(value, tuple):
        return "list", clean(json.dumps(value, ensure_ascii=False)), None
    return "str", clean(str(value)), None


def clean(text: str) -> str:
    """``text`` as every database takes it."""
    # No database takes lone surrogates, and some end a text at its first NUL.
    if text.isascii() and "\0" not in text:
        return text
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")
