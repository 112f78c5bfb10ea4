"""A SQLite file that several processes write: create it, recognise it, upgrade it, rename it when it is damaged."""

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

from flask_chest_otel._base.sqlite_errors import is_locked

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
    "is_current",
    "make",
    "make_folder",
    "pragma",
    "set_aside",
    "transaction",
]

BUSY_S = 5.0
"""How long one statement waits for other processes by default, seconds."""

LONGEST_NAP_S = 0.025
"""Longest pause between two tries on a locked file, seconds."""

PRIVATE = 0o700
"""Mode of a folder that only its owner may use."""


class NotOursError(Exception):
    """The file is another program's database, or a newer version of this package wrote it; it was not changed."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The identity and the schema of a file of this package.

    Attributes:
        application_id: The number in the file's header that says which program the file belongs to
            (https://sqlite.org/pragma.html#pragma_application_id).
        version: The newest schema version that this package knows.
        steps: Takes the file's version (0: an empty file) and gives the statements that upgrade it to ``version``.
        additions: Tables that a file of that version may lack, and that older releases of this package ignore: the
            name of each, and the statements that create it and what belongs to it; the oldest first.
    """

    application_id: int
    version: int
    steps: Callable[[int], Iterable[str]]
    additions: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Connection(sqlite3.Connection):
    """A connection that waits for locked files in Python: SQLite waits in C, which would stop all gevent greenlets.

    Attributes:
        patience_s: How long one statement waits where there is no deadline, seconds.
        deadline: Time on the monotonic clock at which every statement stops waiting; ``None``: see ``patience_s``.
    """

    patience_s: float = BUSY_S
    deadline: float | None = None

    def execute(self, *arguments: object) -> sqlite3.Cursor:
        """As ``sqlite3.Connection.execute``; waits while another connection has the file locked."""
        return self._patiently(super().execute, arguments)

    def executescript(self, *arguments: object) -> sqlite3.Cursor:
        """As ``sqlite3.Connection.executescript``; waits while another connection has the file locked."""
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
    """Create the folder and an empty file where they are missing; only their owner can read them.

    Raises:
        OSError: They cannot be created; :func:`is_unusable` says whether waiting helps.
    """
    make_folder(path.parent)
    # SQLite would create the file with the umask's mode; the -wal and -shm files get the mode of this file.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents with mode 700, whatever the umask is.

    Raises:
        OSError: It cannot be created.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=PRIVATE, exist_ok=True)
    if not missing and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def connect(path: Path, layout: Layout, *, any_thread: bool = False, deadline: float | None = None) -> Connection:
    """Open the file at ``path`` for writing; create or upgrade its tables.

    Args:
        path: The file; :func:`make` creates it.
        layout: The identity and schema of the file.
        any_thread: Whether several threads will use the connection, one at a time.
        deadline: Time on the monotonic clock until which opening waits for other processes; by default each statement
            waits ``BUSY_S`` seconds.

    Raises:
        NotOursError: The file is another program's, or a newer version of this package wrote it. It was not changed.
        sqlite3.Error: Opening failed; ``sqlite_errors`` says of which kind the error is.
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
    """Device and inode of the file at ``path``: they differ once another file has this name. ``None``: no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_current(path: Path, known: tuple[int, int] | None) -> bool:
    """Whether the file at ``path`` is still the one with the :func:`identity` ``known``, which has tables.

    Raises:
        sqlite3.DatabaseError: It is, but something has emptied it: SQLite would go on for a while without an error.
    """
    try:
        found = path.stat()
    except OSError:
        return False
    if (found.st_dev, found.st_ino) != known:
        return False
    if not found.st_size:
        raise sqlite3.DatabaseError("file is not a database any more: it was emptied")
    return True


def set_aside(path: Path, broken: tuple[int, int] | None) -> Path | None:
    """Rename a damaged file, and its -wal and -shm files, so that a new file can be created.

    Args:
        path: Path of the file.
        broken: The :func:`identity` of the damaged file.

    Returns:
        Its new path; ``None`` when another process has renamed it already.
    """
    aside = path.with_name(f"{path.name}.corrupt-{datetime.now(timezone.utc):%Y%m%dT%H%M%S%fZ}")
    with _locked(path) as found:
        # All processes find the damage at the same time: the second must not rename the new file of the first.
        if found is None or found != broken:
            return None
        # The log (-wal) first: SQLite would apply an old log to a new file of the same name.
        for end in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + end).rename(aside.with_name(aside.name + end))
    return aside


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """One transaction. ``IMMEDIATE`` takes the write lock at the beginning, where waiting for it is still possible."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """The value of an integer pragma."""
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def _locked(path: Path) -> Iterator[tuple[int, int] | None]:
    """Keep other processes from renaming ``path``. Yield the identity of the file; ``None`` where it was renamed."""
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
    # auto_vacuum before journal_mode: WAL writes the first page, after which auto_vacuum has no effect.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if version < layout.version:
        with transaction(connection):
            # Read the version again: another process may have upgraded the file meanwhile.
            for statement in layout.steps(_recognise(connection, path, layout)):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {layout.application_id}")
            connection.execute(f"PRAGMA user_version = {layout.version}")
    for name, statements in layout.additions:
        if not _has_table(connection, name):
            with transaction(connection):
                # Look again, for the same reason.
                for statement in () if _has_table(connection, name) else statements:
                    connection.execute(statement)


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    known = "SELECT 1 FROM sqlite_master WHERE name = ?"
    return connection.execute(known, (name,)).fetchone() is not None


def _recognise(connection: sqlite3.Connection, path: Path, layout: Layout) -> int:
    """The schema version of a file of this package; 0 for an empty file. Only reads.

    The caller opens a transaction: without one, a file that another process is creating at this moment would look like
    another program's.

    Raises:
        NotOursError: The file is another program's, or a newer version of this package wrote it.
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
