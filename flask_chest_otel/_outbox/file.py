"""The outbox: batches that the collector has not accepted yet, in one SQLite file for all workers of an application.

It knows rows, owners and bounds; nothing of threads, of HTTP or of what the bytes mean.
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
"""Name of the file in an outbox's folder."""

_OWNERS = """
WITH RECURSIVE owners (name) AS (
    SELECT min(owner) FROM outbox_batches WHERE refused IS NULL
    UNION ALL
    SELECT (SELECT min(owner) FROM outbox_batches WHERE refused IS NULL AND owner > name)
    FROM owners WHERE name IS NOT NULL
)
SELECT name FROM owners WHERE name IS NOT NULL AND name != ?
"""
"""A step in the index for each owner, not for each batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch.

    Attributes:
        batch_id: Its place in the order.
        items: How many spans, data points or log records it has.
        body: The OTLP request, as protobuf.
    """

    batch_id: int
    items: int
    body: bytes


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """What is known of one batch without reading it.

    Attributes:
        batch_id: Its place in the order.
        signal: ``traces``, ``metrics`` or ``logs``.
        created_unix_ns: When it was made, nanoseconds since 1970 UTC.
        items: How many spans, data points or log records it has.
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
        size_bytes: What it takes, its write-ahead log included.
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
        deadline: Until when opening it waits for other workers, on the monotonic clock; some seconds unless given.

    Raises:
        OSError: Folder or file cannot be made.
        sqlite3.Error: The file cannot be used; see ``sqlite.is_broken``.
        NotOursError: It is a database of something else.

    Attributes:
        connection: To be kept from being collected in a forked child.
    """

    def __init__(self, path: Path, max_bytes: int, max_age_s: float, *, deadline: float | None = None) -> None:
        folder.make(path.parent)
        sqlite.make(path)
        self.path = path
        self._said = False
        # Before it is opened: should the file be replaced in between, `is_current` finds out.
        self.identity = sqlite.identity(path)
        self.connection = sqlite.connect(path, LAYOUT, any_thread=True, deadline=deadline)
        self._limits = Limits(self.connection, path, max_bytes, max_age_s)

    @property
    def dropped(self) -> int:
        """Items that were deleted because of the bounds."""
        return self._limits.dropped

    @property
    def is_current(self) -> bool:
        """Whether the file is still there under its name: what is written to a deleted one, nobody would find."""
        return self.identity is not None and sqlite.identity(self.path) == self.identity

    def close(self) -> None:
        """Let go of the file."""
        self.connection.close()

    def put(self, owner: str, batches: Iterable[tuple[str, int, bytes]]) -> int:
        """Keep batches: signal, number of items, body; how many there were.

        Raises:
            sqlite3.Error: None of them is kept.
            HeldError: The same.
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

    def waiting(self, owner: str, signal: str, most: int) -> list[Batch]:
        """The oldest batches of ``owner`` that are to be sent, at most ``most``."""
        return self.read([batch_id for batch_id, _ in self.waiting_sizes(owner, signal, most)])

    def waiting_sizes(self, owner: str, signal: str, most: int, after: int = 0) -> list[tuple[int, int]]:
        """Which they are, and how large, without reading them; those behind batch ``after`` only."""
        return self.connection.execute(
            "SELECT batch_id, length(body) FROM outbox_batches WHERE owner = ? AND signal = ? AND refused IS NULL"
            " AND batch_id > ? ORDER BY batch_id LIMIT ?",
            (owner, signal, after, most),
        ).fetchall()

    def read(self, batch_ids: Iterable[int]) -> list[Batch]:
        """These batches, without those that are gone."""
        rows = []
        for batch_id in batch_ids:
            rows += self.connection.execute(
                "SELECT batch_id, items, body FROM outbox_batches WHERE batch_id = ?", (batch_id,)
            ).fetchall()
        return [Batch(*row) for row in rows]

    def usage(self) -> Usage:
        """How full it is."""
        waiting, refused = self._limits.totals()
        (oldest_ns,) = self.connection.execute(
            "SELECT CAST(min(created_unix_ns) AS INTEGER) FROM outbox_batches WHERE refused IS NULL"
        ).fetchone()
        return Usage(waiting, refused, self._limits.used_bytes() + self._limits.log_bytes(), oldest_ns)

    def settle(self, accepted: Iterable[int], refused: Mapping[int, str] = MappingProxyType({})) -> int:
        """Delete what was accepted, and put aside what was refused, with the reason; how many batches there were.

        What is put aside is not sent again unless somebody asks for it.
        """
        # Twice as much log as for new batches: what was sent should not be sent again.
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
        """Keep a batch that never was in the file, put aside at once; how many there were."""
        self._limits.hold_back()
        with sqlite.transaction(self.connection):
            return self.connection.execute(
                "INSERT INTO outbox_batches (signal, owner, created_unix_ns, items, refused, body)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (signal, owner, time.time_ns(), row.items, reason, row.body),
            ).rowcount

    def take_over(self, owner: str) -> int:
        """Make the waiting batches of dead processes those of ``owner``; how many there were.

        A batch that nobody owns, because it is to be sent again, is taken as well.
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
        """All batches, the oldest first."""
        found = self.connection.execute(
            "SELECT batch_id, coalesce(CAST(signal AS TEXT), ''), coalesce(CAST(created_unix_ns AS INTEGER), 0),"
            " coalesce(CAST(items AS INTEGER), 0), coalesce(length(body), 0), CAST(refused AS TEXT)"
            " FROM outbox_batches ORDER BY batch_id"
        )
        return [BatchInfo(*row) for row in found]

    def resend(self) -> int:
        """Let everything that was put aside be sent again, by whichever process comes first; how many batches."""
        with sqlite.transaction(self.connection):
            return self.connection.execute(
                "UPDATE outbox_batches SET refused = NULL, owner = 'nobody' WHERE refused IS NOT NULL"
            ).rowcount

    def clear(self, *, everything: bool = False) -> int:
        """Delete what was put aside, or ``everything``; how many batches."""
        with sqlite.transaction(self.connection):
            return self.connection.execute(
                "DELETE FROM outbox_batches WHERE ? OR refused IS NOT NULL", (everything,)
            ).rowcount

    def _take(self, owner: str, other: str) -> int:
        with sqlite.transaction(self.connection):
            return self.connection.execute(
                "UPDATE outbox_batches SET owner = ? WHERE owner = ? AND refused IS NULL", (owner, other)
            ).rowcount
