"""The tables for request records, and the types of their rows.

They are independent of any SQL dialect: the embedded store makes SQLite's statements from them, other back ends theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = [
    "ADDED_COLUMNS",
    "ADDED_INDICES",
    "DETAILS",
    "REQUESTS",
    "TIMED",
    "VARIABLES",
    "Column",
    "DetailsRow",
    "Index",
    "Kind",
    "RequestRow",
    "Table",
    "VariableRow",
]

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
    """One index over ``columns``, for one common query; only of rows in which ``of_those_with`` is not empty."""

    name: str
    columns: tuple[str, ...]
    of_those_with: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One table. Rows have the order of ``columns``; rows with equal ``primary_key`` are the same row."""

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
        # Release 0.1.0 has only the columns above: see ADDED_COLUMNS.
        Column("path", "text", nullable=True),
        Column("version", "short", nullable=True),
        Column("cpu_ms", "real", nullable=True),
        Column("first_byte_ms", "real", nullable=True),
        Column("db_count", "integer", nullable=True),
        Column("db_ms", "real", nullable=True),
        Column("http_count", "integer", nullable=True),
        Column("http_ms", "real", nullable=True),
        Column("other_count", "integer", nullable=True),
        Column("other_ms", "real", nullable=True),
        Column("spans_dropped", "integer", nullable=True),
        Column("spans_complete", "integer", nullable=True),
        Column("logs_dropped", "integer", nullable=True),
        Column("error_type", "short", nullable=True),
        Column("error_handled", "integer", nullable=True),
        Column("error_place", "text", nullable=True),
        Column("error_message", "text", nullable=True),
        Column("error_stack", "text", nullable=True),
        Column("slos", "text", nullable=True),
    ),
    primary_key=("record_key",),
    indices=(
        Index("chest_requests_request_id", ("request_id",)),
        Index("chest_requests_trace_id", ("trace_id",)),
        Index("chest_requests_time", ("time",)),
        Index("chest_requests_error", ("error_type", "time"), of_those_with="error_type"),
    ),
)
"""One row per finished request."""

ADDED_COLUMNS = REQUESTS.columns[11:]
"""Columns of ``REQUESTS`` that release 0.1.0 does not have; they are empty in the rows that it writes."""

ADDED_INDICES = tuple(index for index in REQUESTS.indices if index.of_those_with)
"""Indices that release 0.1.0 does not create."""

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

DETAILS = Table(
    name="chest_details",
    columns=(
        Column("request_key", "key"),
        Column("spans", "text", nullable=True),
        Column("logs", "text", nullable=True),
    ),
    primary_key=("request_key",),
    indices=(),
)
"""One row per request that has child spans or log lines: each a JSON array of objects."""

TIMED = ("db", "http", "other")
"""Kinds of child spans. ``REQUESTS`` has two columns for each: their number and the sum of their milliseconds."""


class RequestRow(NamedTuple):
    """A row of ``REQUESTS``; ``time`` is in the form that the database takes.

    ``slos`` is a JSON object: name of each objective to whether the request was good. It is empty without objectives.
    """

    record_key: str
    time: object
    request_id: str
    trace_id: str | None
    span_id: str | None
    service: str
    method: str
    route: str | None
    status: int
    duration_ms: float
    refused: str | None
    path: str | None
    version: str | None
    cpu_ms: float | None
    first_byte_ms: float | None
    db_count: int | None
    db_ms: float | None
    http_count: int | None
    http_ms: float | None
    other_count: int | None
    other_ms: float | None
    spans_dropped: int
    spans_complete: int
    logs_dropped: int
    error_type: str | None
    error_handled: int | None
    error_place: str | None
    error_message: str | None
    error_stack: str | None
    slos: str


class DetailsRow(NamedTuple):
    """A row of ``DETAILS``."""

    request_key: str
    spans: str | None
    logs: str | None


class VariableRow(NamedTuple):
    """A row of ``VARIABLES``.

    ``text_value`` holds every value exactly (numbers as Python writes them, lists as JSON); ``number_value`` is for
    sums: the number, 1 or 0 for a bool, empty for everything else and for NaN and infinity.
    """

    request_key: str
    name: str
    time: object
    type: str
    text_value: str
    number_value: float | None
