"""Opens a store for reading, with errors that say what to do."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from flask_chest_otel._base.sqlite_errors import is_locked
from flask_chest_otel._records.schema import SCHEMA_VERSION
from flask_chest_otel._store.file import APPLICATION_ID
from flask_chest_otel._store.older import bring_up
from flask_chest_otel._store.rollups import teach
from flask_chest_otel.errors import ChestError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["StoreReadError", "opened"]

BUSY_S = 5.0
"""How long a reader waits for a process that is creating or upgrading the file, seconds."""


class StoreReadError(ChestError):
    """A store cannot be read; the message says why and what to do."""


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the store at ``path`` in a transaction; yields the connection.

    For a file of an older version, the connection has empty views instead of missing tables.

    Raises:
        StoreReadError: The file does not exist, or this version cannot read it.
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
        bring_up(connection)
        teach(connection)
        yield connection
    except sqlite3.Error as error:
        raise StoreReadError(f"{path} cannot be read: {error}") from error
    finally:
        if connection is not None:
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    address = path.absolute().as_uri()
    try:
        return _opened(f"{address}?mode=ro")
    except sqlite3.OperationalError as error:
        log = path.with_name(f"{path.name}-wal")
        # A file that another process is changing must not be opened as immutable.
        if is_locked(error) or (log.exists() and log.stat().st_size):
            raise
        # A copy in a read-only folder: SQLite cannot create its lock file there, and needs none.
        return _opened(f"{address}?mode=ro&immutable=1")


def _opened(address: str) -> sqlite3.Connection:
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None)
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    try:
        # The transaction makes all answers describe one moment, whatever is written or deleted meanwhile.
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
