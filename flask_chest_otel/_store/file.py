"""The file of the embedded store: its tables, and how files of older versions are upgraded.

A file of release 0.1.0 gets additional columns and tables, but keeps its schema version: a worker process of that
release can go on writing to the file, without the new columns. Triggers do what its rows need, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._base import sqlite
from flask_chest_otel._base.sqlite import identity, is_current, make, set_aside, transaction
from flask_chest_otel._records import schema, tables
from flask_chest_otel._records.delivery import ChestOffError
from flask_chest_otel._store import arrivals, rollups, slo_counts

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "ADDITIONS",
    "APPLICATION_ID",
    "connect",
    "identity",
    "is_current",
    "make",
    "set_aside",
    "transaction",
]

APPLICATION_ID = 0x43485354
"""SQLite's application id in the file's header (``PRAGMA application_id``): the letters ``CHST``."""

UPGRADES: dict[int, tuple[str, ...]] = {}
"""Schema version to the statements that upgrade it to the next version."""

_TYPES = {"integer": "INTEGER", "real": "REAL", "number": "NUMERIC"}


def connect(path: Path) -> sqlite3.Connection:
    """Open the store at ``path`` for writing; creates or upgrades its tables.

    Raises:
        ChestOffError: The file belongs to another program or to a newer version of this one. It was not changed.
        sqlite3.Error: The file cannot be opened or written; see ``sqlite_errors``.
    """
    layout = sqlite.Layout(APPLICATION_ID, schema.SCHEMA_VERSION, _steps, ADDITIONS)
    try:
        connection = sqlite.connect(path, layout)
    except sqlite.NotOursError as error:
        raise ChestOffError(str(error)) from error
    rollups.teach(connection)
    return connection


def _steps(version: int) -> Iterator[str]:
    if version == 0:
        for table in (tables.REQUESTS, tables.VARIABLES):
            yield _creation(table)
            yield from _indexing(table.name, table.indices)
        yield from _NEW_TABLES
        yield from slo_counts.CREATION
        yield from arrivals.CREATION
    else:
        for step in range(version, schema.SCHEMA_VERSION):
            yield from UPGRADES[step]


def _described(column: tables.Column) -> str:
    return f"{column.name} {_TYPES.get(column.kind, 'TEXT')}{'' if column.nullable else ' NOT NULL'}"


def _creation(table: tables.Table) -> str:
    columns, key = ", ".join(map(_described, table.columns)), ", ".join(table.primary_key)
    # WITHOUT ROWID stores rows in the order of their keys, so the oldest rows lie together.
    return f"CREATE TABLE {table.name} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID"


def _indexing(table: str, indices: tuple[tables.Index, ...]) -> Iterator[str]:
    for index in indices:
        only = f" WHERE {index.of_those_with} IS NOT NULL" if index.of_those_with else ""
        yield f"CREATE INDEX {index.name} ON {table} ({', '.join(index.columns)}){only}"


# A trigger deletes the details of deleted requests, as a worker process of release 0.1.0 does not know this table.
_DELETING = (
    f"CREATE TRIGGER chest_requests_deleted AFTER DELETE ON {tables.REQUESTS.name}"  # noqa: S608 - our own name
    " BEGIN DELETE FROM chest_details WHERE request_key = OLD.record_key; END"
)

_NEW_TABLES = (
    "CREATE TABLE chest_details (request_key TEXT NOT NULL PRIMARY KEY, spans BLOB, logs BLOB) WITHOUT ROWID",
    _DELETING,
    *rollups.CREATION,
)


def _adding(*columns: tables.Column) -> Iterator[str]:
    return (f"ALTER TABLE {tables.REQUESTS.name} ADD COLUMN {_described(column)}" for column in columns)


_OF_OBJECTIVES = tuple(column for column in tables.ADDED_COLUMNS if column.name == slo_counts.COLUMN)

_NEW_COLUMNS = (
    *_adding(*(column for column in tables.ADDED_COLUMNS if column not in _OF_OBJECTIVES)),
    *_indexing(tables.REQUESTS.name, tables.ADDED_INDICES),
)

ADDITIONS = (
    (rollups.ROLLUPS.name, (*_NEW_COLUMNS, *_NEW_TABLES)),
    (rollups.TOTALS.name, rollups.TOTALS_CREATION),
    (slo_counts.TABLE, (*_adding(*_OF_OBJECTIVES), *slo_counts.CREATION)),
    (arrivals.TABLE, arrivals.CREATION),
)
"""Table to the statements for a file without it: of release 0.1.0; from before the totals; from before objectives; from
before arrivals."""
