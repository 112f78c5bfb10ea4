"""The SQLite file of a store: made, recognised, upgraded, and set aside when it is broken."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from flask_chest_otel.chests import _schema
from flask_chest_otel.chests._delivery import ChestOffError

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["APPLICATION_ID", "connect", "identity", "is_broken", "is_unusable", "make", "set_aside", "transaction"]

APPLICATION_ID = 0x43485354
"""``CHST`` in the header field that SQLite has for saying whose a file is (``PRAGMA application_id``)."""

BUSY_S = 5.0
"""How long a worker waits for the others, seconds."""

UPGRADES: dict[int, tuple[str, ...]] = {}
"""Schema version to the statements that lead from it to the next one."""

_TYPES = {"integer": "INTEGER", "real": "REAL", "number": "NUMERIC"}

_PERMANENT = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}


def make(path: Path) -> None:
    """Make the store's folder and an empty file, readable by their owner only, where there is none.

    Raises:
        OSError: See ``is_unusable``.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite would make the file with the umask's mode; -wal and -shm take theirs from it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def connect(path: Path) -> sqlite3.Connection:
    """Open the store at ``path`` for writing; tables are made or upgraded.

    Raises:
        ChestOffError: The file is not ours, or of a newer version than we know. It was not changed.
        sqlite3.Error: See ``is_unusable`` and ``is_broken``.
    """
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one that took its name; ``None`` when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_broken(error: Exception) -> bool:
    """Whether SQLite says that the file is damaged or never was one of its own."""
    words = ("file is not a database", "file is encrypted", "database disk image is malformed")
    return isinstance(error, sqlite3.DatabaseError) and str(error).startswith(words)


def is_unusable(error: Exception, path: Path) -> bool:
    """Whether no waiting makes the file writable: missing rights, a read-only disk, a folder in its place."""
    if isinstance(error, sqlite3.OperationalError):
        words = ("unable to open database file", "attempt to write a readonly database")
        writable = os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
        # With all rights there, too many open files or a file that was moved away are behind it: that passes.
        return str(error).startswith(words) and (path.is_dir() or not writable)
    return isinstance(error, OSError) and error.errno in _PERMANENT


def set_aside(path: Path, broken: tuple[int, int] | None) -> Path | None:
    """Rename the file ``broken`` (with what lies beside it) so that a new one can be begun.

    Returns:
        Its new path; ``None`` when another worker has done it already.
    """
    aside = path.with_name(f"{path.name}.corrupt-{datetime.now(timezone.utc):%Y%m%dT%H%M%S%fZ}")
    with _locked(path) as found:
        # All workers find the damage at the same moment: the second must not rename the first one's new file.
        if found is None or found != broken:
            return None
        # The log first: a new file must not find it, or SQLite would play it into that one.
        for end in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    return aside


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """One transaction. ``IMMEDIATE`` takes the write lock at its beginning, when SQLite still waits for it."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def _locked(path: Path) -> Iterator[tuple[int, int] | None]:
    """Keep other workers from renaming ``path``; gives the identity of what is there."""
    if sys.platform == "win32":  # an open file cannot be renamed there
        yield identity(path)
        return
    handle = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        held = os.fstat(handle)
        yield identity(path) if identity(path) == (held.st_dev, held.st_ino) else None
    finally:
        os.close(handle)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection, "DEFERRED"):
        version = _recognise(connection, path)
    # Before the log is switched on: that writes the first page, and then it is too late for auto_vacuum.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if version < _schema.SCHEMA_VERSION:
        with transaction(connection):
            # Again, as another worker may have come first.
            for statement in _steps(_recognise(connection, path)):
                connection.execute(statement)


def _recognise(connection: sqlite3.Connection, path: Path) -> int:
    """The schema version of a file that is ours, 0 for an empty one. Reads only, in the caller's transaction.

    Without one, a file that another worker is just making would look like somebody else's.
    """
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != APPLICATION_ID and (owner or version or tables):
        raise ChestOffError(f"{path} is a database of something else: move it away, or give another path")
    if version > _schema.SCHEMA_VERSION:
        raise ChestOffError(
            f"{path} was written by a newer flask_chest_otel (schema {version}, this one knows"
            f" {_schema.SCHEMA_VERSION}): `pip install --upgrade flask-chest-otel`, or move the file away"
        )
    return int(version)


def _steps(version: int) -> Iterator[str]:
    if version == 0:
        for table in (_schema.REQUESTS, _schema.VARIABLES):
            yield from _creation(table)
    else:
        for step in range(version, _schema.SCHEMA_VERSION):
            yield from UPGRADES[step]
    yield f"PRAGMA application_id = {APPLICATION_ID}"
    yield f"PRAGMA user_version = {_schema.SCHEMA_VERSION}"


def _creation(table: _schema.Table) -> Iterator[str]:
    columns = [
        f"{column.name} {_TYPES.get(column.kind, 'TEXT')}{'' if column.nullable else ' NOT NULL'}"
        for column in table.columns
    ]
    key = ", ".join(table.primary_key)
    # WITHOUT ROWID: the rows themselves lie in the order of their keys, the oldest together.
    yield f"CREATE TABLE {table.name} ({', '.join(columns)}, PRIMARY KEY ({key})) WITHOUT ROWID"
    for index in table.indices:
        yield f"CREATE INDEX {index.name} ON {table.name} ({', '.join(index.columns)})"
