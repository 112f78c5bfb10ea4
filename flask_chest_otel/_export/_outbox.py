"""The outbox: batches that the collector has not accepted yet, in one SQLite file for all workers of an application.

It knows rows, owners and bounds; nothing of threads, of HTTP or of what the bytes mean.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from flask_chest_otel import _sqlite
from flask_chest_otel._export import _folder
from flask_chest_otel._export._owner import owner_if_dead
from flask_chest_otel._guard import Log, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["FILENAME", "Kept", "Outbox", "Row", "Usage"]

_logger = Log("flask_chest_otel")

FILENAME = "outbox.sqlite3"
"""Name of the file in an outbox's folder."""

APPLICATION_ID = 0x4348424F
"""``CHBO`` in the header of the file."""

LOG_BYTES = 4 * 1024 * 1024
"""What SQLite keeps of its write-ahead log when it has been played into the file."""

AGED_EVERY_S = 10.0
"""Time between two looks for batches that are too old, seconds."""

_TABLE = """
CREATE TABLE outbox_batches (
    batch_id INTEGER PRIMARY KEY AUTOINCREMENT,
    signal TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_unix_ns INTEGER NOT NULL,
    items INTEGER NOT NULL,
    refused TEXT,
    body BLOB NOT NULL
)
"""
_INDEX = "CREATE INDEX outbox_waiting ON outbox_batches (owner, signal, batch_id) WHERE refused IS NULL"
_LAYOUT = _sqlite.Layout(APPLICATION_ID, 1, lambda _version: (_TABLE, _INDEX))


@dataclass(frozen=True, slots=True)
class Row:
    """One batch.

    Attributes:
        batch_id: Its place in the order.
        items: How many spans or data points it has.
        body: The OTLP request, as protobuf.
    """

    batch_id: int
    items: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of one batch without reading it.

    Attributes:
        batch_id: Its place in the order.
        signal: ``traces`` or ``metrics``.
        created_unix_ns: When it was made, nanoseconds since 1970 UTC.
        items: How many spans or data points it has.
        size_bytes: How large it is.
        refused: What the collector said when it refused it for good; ``None``: it is waiting.
    """

    batch_id: int
    signal: str
    created_unix_ns: int
    items: int
    size_bytes: int
    refused: str | None


@dataclass(frozen=True, slots=True)
class Usage:
    """How full an outbox is.

    Attributes:
        waiting: Batches that are to be sent.
        refused: Batches that were put aside.
        size_bytes: What it takes.
        oldest_unix_ns: When the oldest waiting batch was made, nanoseconds since 1970 UTC; ``None``: none waits.
    """

    waiting: int
    refused: int
    size_bytes: int
    oldest_unix_ns: int | None


class Outbox:
    """One connection to the file; several threads may use it, one at a time.

    Args:
        path: The file; folder and file are made.
        max_bytes: What the batches may take; the oldest go first.
        max_age_s: Older batches are deleted, seconds.

    Raises:
        OSError: Folder or file cannot be made.
        sqlite3.Error: The file cannot be used; see ``_sqlite.is_broken``.
        NotOursError: It is a database of something else.

    Attributes:
        connection: To be kept from being collected in a forked child.
        dropped: Items that were deleted because of the bounds.
    """

    def __init__(self, path: Path, max_bytes: int, max_age_s: float) -> None:
        _folder.make(path.parent)
        _sqlite.make(path)
        self.path = path
        self.dropped = 0
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._next_aging = 0.0
        self._said = False
        # Before it is opened: should the file be replaced in between, `is_current` finds out.
        self.identity = _sqlite.identity(path)
        self.connection = _sqlite.connect(path, _LAYOUT, any_thread=True)
        self.connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")

    @property
    def is_current(self) -> bool:
        """Whether the file is still there under its name: what is written to a deleted one, nobody would find."""
        return self.identity is not None and _sqlite.identity(self.path) == self.identity

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def put(self, owner: str, batches: Iterable[tuple[str, int, bytes]]) -> int:
        """Keep batches: signal, number of items, body; how many there were.

        Raises:
            sqlite3.Error: None of them is kept.
        """
        now = time.time_ns()
        rows = [(signal, owner, now, items, body) for signal, items, body in batches]
        with _sqlite.transaction(self.connection):
            self.connection.executemany(
                "INSERT INTO outbox_batches (signal, owner, created_unix_ns, items, body) VALUES (?, ?, ?, ?, ?)", rows
            )
        try:
            self._keep_bounds()
        except sqlite3.Error as error:
            # They are kept all the same, and whoever is told otherwise puts them once more. The next put tries again.
            if not self._said:
                self._said = True
                _logger.warning(
                    "the outbox %s could not be brought within its bounds (%s): tried again with the next batch"
                    " (said once)",
                    self.path,
                    printable(str(error)),
                )
        return len(rows)

    def waiting(self, owner: str, signal: str, most: int, skip: Sequence[int] = ()) -> list[Row]:
        """The oldest batches of ``owner`` that are to be sent, at most ``most``, without those in ``skip``."""
        found = self.connection.execute(
            "SELECT batch_id, items, body FROM outbox_batches WHERE owner = ? AND signal = ? AND refused IS NULL"
            " ORDER BY batch_id LIMIT ?",
            (owner, signal, most + len(skip)),
        )
        return [Row(*row) for row in found if row[0] not in skip][:most]

    def count_waiting(self, owner: str) -> int:
        """How many batches of ``owner`` are to be sent."""
        (count,) = self.connection.execute(
            "SELECT count(*) FROM outbox_batches WHERE owner = ? AND refused IS NULL", (owner,)
        ).fetchone()
        return int(count)

    def usage(self) -> Usage:
        """How full it is."""
        waiting, refused, oldest_ns = self.connection.execute(
            "SELECT count(*) FILTER (WHERE refused IS NULL), count(refused),"
            " min(CAST(created_unix_ns AS INTEGER)) FILTER (WHERE refused IS NULL) FROM outbox_batches"
        ).fetchone()
        return Usage(waiting, refused, self._used_bytes(), oldest_ns)

    def settle(self, accepted: Iterable[int], refused: Mapping[int, str] = MappingProxyType({})) -> int:
        """Delete what was accepted, and put aside what was refused, with the reason; how many batches there were.

        What is put aside is not sent again unless somebody asks for it.
        """
        with _sqlite.transaction(self.connection):
            deleted = self.connection.executemany(
                "DELETE FROM outbox_batches WHERE batch_id = ?", [(batch_id,) for batch_id in accepted]
            )
            put_aside = self.connection.executemany(
                "UPDATE outbox_batches SET refused = ? WHERE batch_id = ?",
                [(reason, batch_id) for batch_id, reason in refused.items()],
            )
            return max(0, deleted.rowcount) + max(0, put_aside.rowcount)

    def put_refused(self, owner: str, signal: str, row: Row, reason: str) -> int:
        """Keep a batch that never was in the file, put aside at once; how many there were."""
        with _sqlite.transaction(self.connection):
            return self.connection.execute(
                "INSERT INTO outbox_batches (signal, owner, created_unix_ns, items, refused, body)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (signal, owner, time.time_ns(), row.items, reason, row.body),
            ).rowcount

    def take_over(self, owner: str) -> int:
        """Make the waiting batches of dead processes those of ``owner``; how many there were.

        A batch that nobody owns, because it is to be sent again, is taken as well.
        """
        others = self.connection.execute(
            "SELECT DISTINCT owner FROM outbox_batches WHERE refused IS NULL AND owner != ?", (owner,)
        ).fetchall()
        taken = 0
        for (other,) in others:
            with owner_if_dead(self.path.parent, other) as dead:
                if dead:
                    taken += self._take(owner, other)
        return taken

    def kept(self) -> list[Kept]:
        """All batches, the oldest first."""
        found = self.connection.execute(
            "SELECT batch_id, coalesce(CAST(signal AS TEXT), ''), coalesce(CAST(created_unix_ns AS INTEGER), 0),"
            " coalesce(CAST(items AS INTEGER), 0), coalesce(length(body), 0), CAST(refused AS TEXT)"
            " FROM outbox_batches ORDER BY batch_id"
        )
        return [Kept(*row) for row in found]

    def resend(self) -> int:
        """Let everything that was put aside be sent again, by whichever process comes first; how many batches."""
        with _sqlite.transaction(self.connection):
            return self.connection.execute(
                "UPDATE outbox_batches SET refused = NULL, owner = 'nobody' WHERE refused IS NOT NULL"
            ).rowcount

    def clear(self, *, everything: bool = False) -> int:
        """Delete what was put aside, or ``everything``; how many batches."""
        with _sqlite.transaction(self.connection):
            return self.connection.execute(
                "DELETE FROM outbox_batches WHERE ? OR refused IS NOT NULL", (everything,)
            ).rowcount

    def _take(self, owner: str, other: str) -> int:
        with _sqlite.transaction(self.connection):
            return self.connection.execute(
                "UPDATE outbox_batches SET owner = ? WHERE owner = ? AND refused IS NULL", (owner, other)
            ).rowcount

    def _keep_bounds(self) -> None:
        if time.monotonic() >= self._next_aging:
            oldest_ns = time.time_ns() - int(self._max_age_s * 1e9)
            self._drop("created_unix_ns < ?", oldest_ns)
            self._next_aging = time.monotonic() + AGED_EVERY_S
            pages, free = (_sqlite.pragma(self.connection, name) for name in ("page_count", "freelist_count"))
            # Free pages are used again first; only many of them are worth the moving around.
            if free > max(256, pages // 2):
                self._give_back()
        if self._used_bytes() > self._max_bytes:
            # A twentieth at once: at the bound, not every batch has to make room for itself.
            while self._used_bytes() > self._max_bytes * 0.95 and self._drop_oldest():
                pass
            self._give_back()

    def _give_back(self) -> None:
        # Each step of this statement frees one page, and execute would take only one.
        self.connection.executescript("PRAGMA incremental_vacuum(4000)")

    def _drop_oldest(self) -> bool:
        (count,) = self.connection.execute("SELECT count(*) FROM outbox_batches").fetchone()
        (last,) = self.connection.execute(
            "SELECT max(batch_id) FROM (SELECT batch_id FROM outbox_batches ORDER BY batch_id LIMIT ?)",
            (max(1, count // 20),),
        ).fetchone()
        if last is not None:
            self._drop("batch_id <= ?", last)
        return last is not None

    def _drop(self, which: str, bound: int) -> None:
        with _sqlite.transaction(self.connection):
            (items,) = self.connection.execute(
                f"SELECT sum(items) FROM outbox_batches WHERE {which}",  # noqa: S608 - our own words
                (bound,),
            ).fetchone()
            if items is not None:
                self.connection.execute(f"DELETE FROM outbox_batches WHERE {which}", (bound,))  # noqa: S608 - as above
        self.dropped += items or 0

    def _used_bytes(self) -> int:
        used = _sqlite.pragma(self.connection, "page_count") - _sqlite.pragma(self.connection, "freelist_count")
        return used * _sqlite.pragma(self.connection, "page_size")
