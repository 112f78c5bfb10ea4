"""The file of the embedded store: its tables, and how older ones are brought up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._base import sqlite
from flask_chest_otel._base.sqlite import identity, is_broken, is_unusable, make, set_aside, transaction
from flask_chest_otel._records import schema
from flask_chest_otel._records.delivery import ChestOffError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["APPLICATION_ID", "connect", "identity", "is_broken", "is_unusable", "make", "set_aside", "transaction"]

APPLICATION_ID = 0x43485354
"""``CHST`` in the header field that SQLite has for saying whose a file is (``PRAGMA application_id``)."""

UPGRADES: dict[int, tuple[str, ...]] = {}
"""Schema version to the statements that lead from it to the next one."""

_TYPES = {"integer": "INTEGER", "real": "REAL", "number": "NUMERIC"}


def connect(path: Path) -> sqlite3.Connection:
    """Open the store at ``path`` for writing; tables are made or upgraded.

    Raises:
        ChestOffError: The file is not ours, or of a newer version than we know. It was not changed.
        sqlite3.Error: See ``is_unusable`` and ``is_broken``.
    """
    try:
        return sqlite.connect(path, sqlite.Layout(APPLICATION_ID, schema.SCHEMA_VERSION, _steps))
    except sqlite.NotOursError as error:
        raise ChestOffError(str(error)) from error


def _steps(version: int) -> Iterator[str]:
    if version == 0:
        for table in (schema.REQUESTS, schema.VARIABLES):
            yield from _creation(table)
    else:
        for step in range(version, schema.SCHEMA_VERSION):
            yield from UPGRADES[step]


def _creation(table: schema.Table) -> Iterator[str]:
    columns = [
        f"{column.name} {_TYPES.get(column.kind, 'TEXT')}{'' if column.nullable else ' NOT NULL'}"
        for column in table.columns
    ]
    key = ", ".join(table.primary_key)
    # WITHOUT ROWID: the rows themselves lie in the order of their keys, the oldest together.
    yield f"CREATE TABLE {table.name} ({', '.join(columns)}, PRIMARY KEY ({key})) WITHOUT ROWID"
    for index in table.indices:
        yield f"CREATE INDEX {index.name} ON {table.name} ({', '.join(index.columns)})"
