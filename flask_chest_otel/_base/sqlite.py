"""A SQLite file that several processes write: made, recognised, upgraded, and set aside when it is broken."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

__all__ = [
    "BUSY_S",
    "Connection",
    "Layout",
    "NotOursError",
    "connect",
    "identity",
    "is_broken",
    "is_full",
    "is_locked",
    "is_unusable",
    "make",
    "make_folder",
    "pragma",
    "set_aside",
    "transaction",
]

BUSY_S = 5.0
"""How long a worker waits for the others, seconds, unless a connection says otherwise."""

LONGEST_NAP_S = 0.025
"""Bound of the pause between two looks whether a file is still locked, seconds."""

PRIVATE = 0o700
"""Mode of a folder that its owner alone uses."""

_BROKEN = (
    "file is not a database",
    "file is encrypted",
    "database disk image is malformed",
    "malformed database schema",
    "unsupported file format",
    # A file that says that it is ours, and lacks what every version of ours has made.
    "no such table",
    "no such column",
    "Could not decode to UTF-8",
)

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


class NotOursError(Exception):
    """The file is a database of something else, or of a newer version of this package; it was not changed."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file of ours looks like.

    Attributes:
        application_id: The header field that SQLite has for saying whose a file is.
        version: The newest schema that we know.
        steps: The statements that lead from a version, 0 for an empty file, to ``version``.
        additions: What a file of that version may lack, and older versions of this package do not mind: names of
            tables, each with the statements that make it and the rest; in the order in which they came.
    """

    application_id: int
    version: int
    steps: Callable[[int], Iterable[str]]
    additions: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Connection(sqlite3.Connection):
    """Waits for other workers in Python: SQLite's own waiting, in C, would stop all of gevent's greenlets.

    Attributes:
        patience_s: How long one statement waits where there is no deadline, seconds.
        deadline: Until when all statements wait, on the monotonic clock.
    """

    patience_s: float = BUSY_S
    deadline: float | None = None

    def execute(self, *arguments: object) -> sqlite3.Cursor:
        """As ``sqlite3.Connection.execute``; waits while others have the file locked."""
        return self._patiently(super().execute, arguments)

    def executescript(self, *arguments: object) -> sqlite3.Cursor:
        """As ``sqlite3.Connection.executescript``; waits while others have the file locked."""
        return self._patiently(super().executescript, arguments)

    def _patiently(self, run: Callable[..., sqlite3.Cursor], arguments: tuple[object, ...]) -> sqlite3.Cursor:
        until, nap_s = self.deadline, 0.001
        while True:
            try:
                return run(*arguments)
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                until = now + self.patience_s if until is None else until
                if not is_locked(error) or now >= until:
                    raise
            time.sleep(min(nap_s, until - now))
            nap_s = min(nap_s * 2, LONGEST_NAP_S)


def make(path: Path) -> None:
    """Make the file's folder and an empty file, readable by their owner only, where there is none.

    Raises:
        OSError: See ``is_unusable``.
    """
    make_folder(path.parent)
    # SQLite would make the file with the umask's mode; -wal and -shm take theirs from it.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, for this user alone, whatever the umask says.

    Raises:
        OSError: It cannot be made.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=PRIVATE, exist_ok=True)
    if not missing and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def connect(path: Path, layout: Layout, *, any_thread: bool = False, deadline: float | None = None) -> Connection:
    """Open the file at ``path`` for writing; tables are made or upgraded.

    Args:
        path: The file; see ``make``.
        layout: What is to be found in it.
        any_thread: Whether several threads will use the connection, one at a time.
        deadline: Until when all of this waits for other workers, on the monotonic clock; ``BUSY_S`` unless given.

    Raises:
        NotOursError: The file is not ours, or of a newer version than we know. It was not changed.
        sqlite3.Error: See ``is_unusable`` and ``is_broken``.
    """
    connection = sqlite3.connect(
        path, timeout=0, isolation_level=None, check_same_thread=not any_thread, factory=Connection
    )
    connection.patience_s, connection.deadline = BUSY_S, deadline
    try:
        _prepare(connection, path, layout)
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
    if isinstance(error, UnicodeDecodeError):
        # SQLite quotes a schema that is no text any more, and Python cannot read what it says.
        return True
    said = str(error)
    return isinstance(error, sqlite3.DatabaseError) and (said.startswith(_BROKEN) or "has no column named" in said)


def is_locked(error: Exception) -> bool:
    """Whether another connection has the file locked: that passes."""
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith("database is locked")


def is_full(error: Exception) -> bool:
    """Whether the disk has no room: what is in the file can be read all the same."""
    return isinstance(error, sqlite3.OperationalError) and "disk is full" in str(error)


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


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """The number that SQLite has for ``name``."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


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


def _prepare(connection: sqlite3.Connection, path: Path, layout: Layout) -> None:
    with transaction(connection, "DEFERRED"):
        version = _recognise(connection, path, layout)
    # Before the log is switched on: that writes the first page, and then it is too late for auto_vacuum.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if version < layout.version:
        with transaction(connection):
            # Again, as another worker may have come first.
            for statement in layout.steps(_recognise(connection, path, layout)):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {layout.application_id}")
            connection.execute(f"PRAGMA user_version = {layout.version}")
    for name, statements in layout.additions:
        if not _has_table(connection, name):
            with transaction(connection):
                # Again, as above.
                for statement in () if _has_table(connection, name) else statements:
                    connection.execute(statement)


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    known = "SELECT 1 FROM sqlite_master WHERE name = ?"
    return connection.execute(known, (name,)).fetchone() is not None


def _recognise(connection: sqlite3.Connection, path: Path, layout: Layout) -> int:
    """The schema version of a file that is ours, 0 for an empty one. Reads only, in the caller's transaction.

    Without one, a file that another worker is just making would look like somebody else's.
    """
    owner = pragma(connection, "application_id")
    version = pragma(connection, "user_version")
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if owner != layout.application_id and (owner or version or tables):
        raise NotOursError(f"{path} is a database of something else: move it away, or give another path")
    if version > layout.version:
        raise NotOursError(
            f"{path} was written by a newer flask_chest_otel (schema {version}, this one knows"
            f" {layout.version}): `pip install --upgrade flask-chest-otel`, or move the file away"
        )
    return version
