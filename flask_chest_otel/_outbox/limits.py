"""Bounds of an outbox in size and age. Every process that puts a batch enforces them by deleting the oldest batches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask_chest_otel._base import bounded, sqlite

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Limits"]

SMALLEST_LOG_BYTES = 1024 * 1024
"""The write-ahead log may have this size in any case; else a quarter of what the batches may take."""

DROPPED_AT_ONCE = 500
"""How many batches one transaction deletes because of the bounds, at most."""

PAGES_RETURNED = 400
"""How many free pages are returned to the file system at once, at most."""

AGED_EVERY_S = 10.0
"""Time between two searches for batches that are too old, seconds."""


class Limits:
    """Enforces the bounds of an outbox through one connection.

    Args:
        connection: The connection to the file.
        path: The file.
        max_bytes: How much the batches may take, bytes; the write-ahead log may take a quarter of that in addition.
        max_age_s: Older batches are deleted, seconds.

    Attributes:
        dropped: Items that were deleted because of the bounds.
    """

    def __init__(self, connection: sqlite.Connection, path: Path, max_bytes: int, max_age_s: float) -> None:
        self.dropped = 0
        self._connection = connection
        self._path = path
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._log_bytes = max(SMALLEST_LOG_BYTES, max_bytes // 4)
        self._next_aging = 0.0
        bounded.limit_log(connection, self._log_bytes)

    def hold_back(self, share: float = 1.0) -> None:
        """Raise while the write-ahead log is larger than ``share`` of its bound and cannot be emptied.

        Raises:
            HeldError: A reader prevents it.
        """
        bounded.hold_back(self._connection, self._path, self._log_bytes * share)

    def keep(self) -> None:
        """Delete batches that are too old or exceed the size."""
        if time.monotonic() >= self._next_aging:
            self._drop_aged(time.time_ns() - int(self._max_age_s * 1e9))
            self._next_aging = time.monotonic() + AGED_EVERY_S
            if bounded.has_much_free(self._connection):
                bounded.give_back(self._connection, PAGES_RETURNED)
        if self.used_bytes() > self._max_bytes:
            # Delete several at once, so that at the bound not every single put has to delete.
            some = max(1, min(sum(self.totals()) // 20, DROPPED_AT_ONCE))
            while self.used_bytes() > self._max_bytes and self._drop("ORDER BY batch_id LIMIT ?", some):
                bounded.let_others_run()
            bounded.give_back(self._connection, PAGES_RETURNED)

    def _drop_aged(self, oldest_ns: int) -> None:
        for state in ("refused IS NULL", "refused IS NOT NULL"):
            which = f"WHERE {state} AND created_unix_ns < ? ORDER BY created_unix_ns LIMIT ?"
            while self._drop(which, oldest_ns, DROPPED_AT_ONCE) == DROPPED_AT_ONCE:
                bounded.let_others_run()

    def _drop(self, which: str, *bounds: int) -> int:
        """Delete the batches that an SQL condition selects, and count their items; returns how many batches."""
        with sqlite.transaction(self._connection):
            found = self._connection.execute(
                f"SELECT batch_id, items FROM outbox_batches {which}",  # noqa: S608 - our own words
                bounds,
            ).fetchall()
            self._connection.executemany(
                "DELETE FROM outbox_batches WHERE batch_id = ?", [(batch_id,) for batch_id, _ in found]
            )
        self.dropped += sum(items for _, items in found)
        return len(found)

    def totals(self) -> tuple[int, int]:
        """Return how many batches wait, and how many were refused."""
        waiting, refused = self._connection.execute("SELECT waiting, refused FROM outbox_totals").fetchone()
        return waiting, refused

    def used_bytes(self) -> int:
        """Return how much the batches take, bytes."""
        return bounded.used_bytes(self._connection)

    def log_bytes(self) -> int:
        """Return how much the write-ahead log takes, bytes."""
        return bounded.log_bytes(self._path)
