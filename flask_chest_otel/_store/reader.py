"""Questions to an embedded store, for the command line and the viewer: read-only, while the application writes."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from flask_chest_otel._records.schema import REQUESTS, SCHEMA_VERSION, VARIABLES, clean, key_at, read_value
from flask_chest_otel._store.file import APPLICATION_ID
from flask_chest_otel.errors import ChestError
from flask_chest_otel.names import KNOWN_METHODS, OTHER_METHOD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from flask_chest_otel._records.schema import Column, Table

__all__ = [
    "RouteTiming",
    "StoreReadError",
    "StoreReader",
    "StoredRequest",
    "VariableSum",
    "Wanted",
    "read_store",
]

BUSY_S = 5.0
"""How long a reader waits for a worker that is just making or upgrading the file, seconds."""


MOST = 2**63 - 1
"""The largest number that SQLite knows."""


class StoreReadError(ChestError):
    """A store cannot be read; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests: those for which all that is given here holds.

    Attributes:
        since_unix_ns: Begun at this time or later, nanoseconds since 1970 UTC.
        route: The URL rule; ``""`` stands for requests that matched none.
        method: HTTP method, in capitals; ``_OTHER`` stands for all that HTTP does not know.
        service: Name of the application; several may write into one store.
        status: Lowest and highest status code.
        request_id: The request's id.
        variables: Names that were recorded, each with the value it had, as text, or ``None``: any.
    """

    since_unix_ns: int | None = None
    route: str | None = None
    method: str | None = None
    service: str | None = None
    status: tuple[int, int] | None = None
    request_id: str | None = None
    variables: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """One request as it lies in the store."""

    time: str
    request_id: str
    trace_id: str | None
    span_id: str | None
    service: str
    method: str
    route: str | None
    status: int
    duration_ms: float
    variables: dict[str, Any]


class RouteTiming(NamedTuple):
    """How long one request of a route took and how it ended."""

    service: str
    route: str | None
    method: str
    status: int
    duration_ms: float


class VariableSum(NamedTuple):
    """A numeric variable over all wanted requests of one application, route and method."""

    service: str
    route: str | None
    method: str
    name: str
    samples: int
    total: float
    average: float


@contextmanager
def read_store(path: Path) -> Iterator[StoreReader]:
    """The store at ``path``, open for reading.

    Raises:
        StoreReadError: There is no such file, or it is not a store that this version can read.
    """
    if not path.is_file():
        raise StoreReadError(
            f"there is no store at {path}: the application makes it with its first request; if it keeps it"
            " elsewhere, type --store PATH"
        )
    connection = None
    try:
        connection = _connect(path)
        _check(connection, path)
        yield StoreReader(connection)
    except sqlite3.Error as error:
        raise StoreReadError(f"{path} cannot be read: {error}") from error
    finally:
        if connection is not None:
            connection.close()


class StoreReader:
    """Answers questions from an open store: see ``read_store``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def requests(self, wanted: Wanted, limit: int) -> list[StoredRequest]:
        """The newest requests, oldest of them first."""
        columns = ("time", "request_id", "trace_id", "span_id", "service", "method", "route", "status", "duration_ms")
        rows = self._select(columns, wanted, "ORDER BY record_key DESC LIMIT ?", min(limit, MOST)).fetchall()
        found = ([*row, self._variables(key)] for key, *row in reversed(rows))
        return [StoredRequest(*values) for values in found]

    def timings(self, wanted: Wanted) -> Iterator[RouteTiming]:
        """Application, route, method, status and duration of every request."""
        rows = self._select(("service", "route", "method", "status", "duration_ms"), wanted)
        return (RouteTiming(*row) for _, *row in rows)

    def variable_sums(self, wanted: Wanted) -> Iterator[VariableSum]:
        """Sums of the numeric variables by application, route, method and name; true and false are no numbers here."""
        conditions, values = _conditions(wanted)
        # total, not sum: that one fails when whole numbers leave 64 bits.
        sql = [
            f"SELECT {_typed(REQUESTS, 'service', 'route', 'method')}, {_typed(VARIABLES, 'name')},",
            "count(number_value), total(number_value), total(number_value) / count(number_value)",
            "FROM chest_requests JOIN chest_variables ON request_key = record_key",
            "WHERE type IN ('int', 'float') AND number_value IS NOT NULL AND",
            conditions,
            "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        ]
        return map(VariableSum._make, self._connection.execute(" ".join(sql), values))

    def has_variable(self, service: str, name: str) -> bool:
        """Whether any request of an application has had a variable."""
        sql = (
            "SELECT 1 FROM chest_variables JOIN chest_requests ON record_key = request_key"
            " WHERE name = ? AND service = ? LIMIT 1"
        )
        return self._connection.execute(sql, (clean(name), clean(service))).fetchone() is not None

    def _select(self, columns: Iterable[str], wanted: Wanted, end: str = "", *more: Any) -> sqlite3.Cursor:
        """Each row's key, and ``columns`` of it."""
        conditions, values = _conditions(wanted)
        what = f"SELECT record_key, {_typed(REQUESTS, *columns)} FROM chest_requests"  # noqa: S608 - our own words
        return self._connection.execute(f"{what} WHERE {conditions} {end}", [*values, *more])

    def _variables(self, key: str) -> dict[str, Any]:
        rows = self._connection.execute(
            f"SELECT {_typed(VARIABLES, 'name', 'type', 'text_value')} FROM chest_variables"  # noqa: S608 - our own words
            " WHERE request_key = ? ORDER BY name",
            (key,),
        )
        return {name: _value(kind, text) for name, kind, text in rows}


_SQLITE_TYPES = {"integer": "INTEGER", "real": "REAL"}


def _typed(table: Table, *names: str) -> str:
    """Columns with the types that the table says: SQLite itself keeps whatever somebody wrote there."""
    return ", ".join(_cast(column) for name in names for column in table.columns if column.name == name)


def _cast(column: Column) -> str:
    kind = _SQLITE_TYPES.get(column.kind, "TEXT")
    cast = f"CAST({column.name} AS {kind})"
    return cast if column.nullable else f"coalesce({cast}, CAST('' AS {kind}))"


def _value(kind: str, text: str) -> Any:
    """What was recorded; the text where it is none of its type."""
    try:
        return read_value(kind, text)
    except ValueError:
        return text


def _connect(path: Path) -> sqlite3.Connection:
    address = path.absolute().as_uri()
    try:
        return _opened(f"{address}?mode=ro")
    except sqlite3.OperationalError:
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and log.stat().st_size:
            raise
        # A copy in a read-only folder: SQLite cannot put its lock file beside it, and needs none.
        return _opened(f"{address}?mode=ro&immutable=1")


def _opened(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None)
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    try:
        # All answers are about one moment, whatever is written and deleted meanwhile.
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not (owner or version or tables):
        raise StoreReadError(f"{path} is empty: the application has just made it, so ask again in a second")
    if owner != APPLICATION_ID:
        raise StoreReadError(f"{path} is no store of flask_chest_otel: type --store PATH for another file")
    if version != SCHEMA_VERSION:
        raise StoreReadError(
            f"{path} has schema {version}, this flask_chest_otel reads {SCHEMA_VERSION}: read it with the"
            " version that wrote it, or let the application write to it once"
        )


def _conditions(wanted: Wanted) -> tuple[str, list[Any]]:
    terms: list[tuple[str, tuple[Any, ...]]] = [("1", ())]
    if wanted.since_unix_ns is not None:
        terms.append(("record_key >= ?", (key_at(wanted.since_unix_ns),)))
    if wanted.route is not None:
        terms.append(("coalesce(route, '') = ?", (wanted.route,)))
    if wanted.method == OTHER_METHOD:
        unknown = f"method NOT IN ({', '.join('?' for _ in KNOWN_METHODS)})"
        terms.append((unknown, tuple(KNOWN_METHODS)))
    elif wanted.method is not None:
        terms.append(("method = ?", (wanted.method,)))
    if wanted.service is not None:
        terms.append(("service = ?", (wanted.service,)))
    if wanted.status is not None:
        terms.append(("status BETWEEN ? AND ?", wanted.status))
    if wanted.request_id is not None:
        terms.append(("request_id = ?", (wanted.request_id,)))
    terms += [_variable_condition(name, value) for name, value in wanted.variables]
    # As they were written: what a terminal passes on may have no encoding.
    values = [clean(value) if isinstance(value, str) else value for _, given in terms for value in given]
    return " AND ".join(sql for sql, _ in terms), values


def _variable_condition(name: str, value: str | None) -> tuple[str, tuple[Any, ...]]:
    rows = "EXISTS (SELECT 1 FROM chest_variables AS v WHERE v.request_key = record_key AND v.name = ?"
    if value is None:
        return f"{rows})", (name,)
    number = None
    with suppress(ValueError):
        number = float(value)
    # 42, 42.0 and 4.2e1 are the same number; True is written true here.
    same = "v.text_value = ? OR v.number_value = ? OR v.type = 'bool' AND v.text_value = lower(?)"
    return f"{rows} AND ({same}))", (name, value, number, value)
