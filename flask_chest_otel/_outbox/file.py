"""The outbox's file: batches that the collector has not accepted yet, in one SQLite file for all worker processes.

This module knows rows, owners and bounds. It does not know threads, HTTP, or the meaning of a batch's bytes.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from flask_chest_otel._base import sqlite
from flask_chest_otel._guard import Log, printable
from flask_chest_otel._outbox import folder
from flask_chest_otel._outbox.layout import LAYOUT
from flask_chest_otel._outbox.limits import Limits
from flask_chest_otel._outbox.owner import locked_if_dead

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["FILENAME", "Batch", "BatchInfo", "Outbox", "Usage"]

_logger = Log("flask_chest_otel")

FILENAME = "outbox.sqlite3"
"""The file's name in an outbox's folder."""

_OWNERS = """
WITH RECURSIVE owners (name) AS (
    SELECT min(owner) FROM outbox_batches WHERE refused IS NULL
    UNION ALL
    SELECT (SELECT min(owner) FROM outbox_batches WHERE refused IS NULL AND owner > name)
    FROM owners WHERE name IS NOT NULL
)
SELECT name FROM owners WHERE name IS NOT NULL AND name != ?
"""
"""Owners of waiting batches, but one. It takes one step in the index per owner; ``DISTINCT`` would read every row."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch.

    Attributes:
        batch_id: Its number; numbers ascend in the order in which batches were put.
        items: How many spans, data points or log records it has.
        body: The OTLP request, as protobuf.
    """

    batch_id: int
    items: int
    body: bytes


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """A batch without its content.

    Attributes:
        batch_id: Its number; numbers ascend in the order in which batches were put.
        signal: ``traces``, ``metrics`` or ``logs``.
        created_unix_ns: When it was put, nanoseconds since 1970 UTC.
        items: How many spans, data points or log records it has.
        size_bytes: Size of its content, bytes.
        refused: Why the collector refused it permanently; ``None``: it waits to be sent.
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
        waiting: Number of batches that wait to be sent.
        refused: Number of batches that were put aside.
        size_bytes: Size of the file with its write-ahead log, bytes; free pages are not counted.
        oldest_unix_ns: When the oldest waiting batch was put, nanoseconds since 1970 UTC; ``None``: none waits.
    """

    waiting: int
    refused: int
    size_bytes: int
    oldest_unix_ns: int | None


class Outbox:
    """One connection to the file. Several threads may use it, one at a time.

    Args:
        path: The file; folder and file are created if they are missing.
        max_bytes: How much the batches may take, bytes; beyond it the oldest are deleted.
        max_age_s: Older batches are deleted, seconds.
        deadline: Until when opening waits for other processes, seconds on the monotonic clock; ``None``: some seconds
            from now.

    Raises:
        OSError: Folder or file cannot be created.
        sqlite3.Error: The file cannot be used; see ``sqlite_errors``.
        NotOursError: The file is a database of another program.

    Attributes:
        connection: The SQLite connection. A forked child must not let it be garbage-collected.
    """

    def __init__(self, path: Path, max_bytes: int, max_age_s: float, *, deadline: float | None = None) -> None:
        folder.make(path.parent)
        sqlite.make(path)
        self.path = path
        self._said = False
        # Read the identity before opening: if the file is replaced in between, `is_current` notices it.
        self.identity = sqlite.identity(path)
        self.connection = sqlite.connect(path, LAYOUT, any_thread=True, deadline=deadline)
        self._limits = Limits(self.connection, path, max_bytes, max_age_s)

    @property
    def dropped(self) -> int:
        """Items that were deleted because of the bounds."""
        return self._limits.dropped

    @property
    def is_current(self) -> bool:
        """Whether the file still exists under its name; what is written to a deleted file is lost.

        Raises:
            sqlite3.DatabaseError: It was emptied.
        """
        return sqlite.is_current(self.path, self.identity)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def put(self, owner: str, batches: Iterable[tuple[str, int, bytes]]) -> int:
        """Insert batches.

        Args:
            owner: Name of the process that will send them.
            batches: Signal, number of items and content of each.

        Returns:
            How many there were.

        Raises:
            sqlite3.Error: No batch was inserted.
            HeldError: No batch was inserted, because the write-ahead log cannot be emptied.
        """
        self._limits.hold_back()
        now = time.time_ns()
        rows = [(signal, owner, now, items, body) for signal, items, body in batches]
        with sqlite.transaction(self.connection):
            self.connection.executemany(
                "INSERT INTO outbox_batches (signal, owner, created_unix_ns, items, body) VALUES (?, ?, ?, ?, ?)", rows
            )
        try:
            self._limits.keep()
        except sqlite3.Error as error:
            # Do not raise: the batches are in the file, and a caller that sees an error would put them a second time.
            # The next put tries to keep the bounds again.
            if not self._said:
                self._said = True
                _logger.warning(
                    "the outbox %s could not be brought within its bounds (%s): tried again with the next batch"
                    " (said once)",
                    self.path,
                    printable(str(error)),
                )
        return len(rows)

    def waiting(self, owner: str, signal: str, most: int) -> list[Batch]:
        """Return the oldest waiting batches of ``owner``, at most ``most``."""
        return self.read([batch_id for batch_id, _ in self.waiting_sizes(owner, signal, most)])

    def waiting_sizes(self, owner: str, signal: str, most: int, after: int = 0) -> list[tuple[int, int]]:
        """Return number and size in bytes of the same batches; only of those with a number above ``after``."""
        return self.connection.execute(
            "SELECT batch_id, length(body) FROM outbox_batches WHERE owner = ? AND signal = ? AND refused IS NULL"
            " AND batch_id > ? ORDER BY batch_id LIMIT ?",
            (owner, signal, after, most),
        ).fetchall()

    def read(self, batch_ids: Iterable[int]) -> list[Batch]:
        """Return the batches with these numbers; deleted ones are left out."""
        rows = []
        for batch_id in batch_ids:
            rows += self.connection.execute(
                "SELECT batch_id, items, body FROM outbox_batches WHERE batch_id = ?", (batch_id,)
            ).fetchall()
        return [Batch(*row) for row in rows]

    def usage(self) -> Usage:
        """Return how full the outbox is."""
        waiting, refused = self._limits.totals()
        (oldest_ns,) = self.connection.execute(
            "SELECT CAST(min(created_unix_ns) AS INTEGER) FROM outbox_batches WHERE refused IS NULL"
        ).fetchone()
        return Usage(waiting, refused, self._limits.used_bytes() + self._limits.log_bytes(), oldest_ns)

    def settle(self, accepted: Iterable[int], refused: Mapping[int, str] = MappingProxyType({})) -> int:
        """Delete accepted batches and put refused ones aside; returns how many batches were there.

        Batches that are put aside are not sent again until ``resend`` is called.

        Args:
            accepted: Numbers of batches that the collector accepted.
            refused: Numbers of batches that it refused, with the reason.
        """
        # The log may be twice as large as for new batches: a batch that cannot be deleted now would be sent twice.
        self._limits.hold_back(2.0)
        with sqlite.transaction(self.connection):
            deleted = self.connection.executemany(
                "DELETE FROM outbox_batches WHERE batch_id = ?", [(batch_id,) for batch_id in accepted]
            )
            put_aside = self.connection.executemany(
                "UPDATE outbox_batches SET refused = ? WHERE batch_id = ?",
                [(reason, batch_id) for batch_id, reason in refused.items()],
            )
            return max(0, deleted.rowcount) + max(0, put_aside.rowcount)

    def put_refused(self, owner: str, signal: str, row: Batch, reason: str) -> int:
        """Insert a batch as refused, for example a part of a batch; returns 1."""
        self._limits.hold_back()
        with sqlite.transaction(self.connection):
            return self.connection.execute(
                "INSERT INTO outbox_batches (signal, owner, created_unix_ns, items, refused, body)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (signal, owner, time.time_ns(), row.items, reason, row.body),
            ).rowcount

    def take_over(self, owner: str) -> int:
        """Make ``owner`` the owner of the waiting batches of dead processes; returns how many batches that were.

        Batches that ``resend`` has released belong to ``nobody`` and are adopted, too.
        """
        others = self.connection.execute(_OWNERS, (owner,)).fetchall()
        if others:
            self._limits.hold_back(2.0)
        taken = 0
        for (other,) in others:
            with locked_if_dead(self.path.parent, other) as dead:
                if dead:
                    taken += self._take(owner, other)
        return taken

    def kept(self) -> list[BatchInfo]:
        """Return all batches without their content, the oldest first."""
        found = self.connection.execute(
            "SELECT batch_id, coalesce(CAST(signal AS TEXT), ''), coalesce(CAST(created_unix_ns AS INTEGER), 0),"
            " coalesce(CAST(items AS INTEGER), 0), coalesce(length(body), 0), CAST(refused AS TEXT)"
            " FROM outbox_batches ORDER BY batch_id"
        )
        return [BatchInfo(*row) for row in found]

    def resend(self) -> int:
        """Let any process adopt and send the batches that were put aside; returns how many."""
        with sqlite.transaction(self.connection):
            return self.connection.execute(
                "UPDATE outbox_batches SET refused = NULL, owner = 'nobody' WHERE refused IS NOT NULL"
            ).rowcount

    def clear(self, *, everything: bool = False) -> int:
        """Delete the batches that were put aside, or all batches; returns how many."""
        with sqlite.transaction(self.connection):
            return self.connection.execute(
                "DELETE FROM outbox_batches WHERE ? OR refused IS NOT NULL", (everything,)
            ).rowcount

    def _take(self, owner: str, other: str) -> int:
        with sqlite.transaction(self.connection):
            return self.connection.execute(
                "UPDATE outbox_batches SET owner = ? WHERE owner = ? AND refused IS NULL", (owner, other)
            ).rowcount
