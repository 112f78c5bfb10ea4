"""Bounds of an outbox in size and age. Every process that puts a batch enforces them by deleting the oldest batches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask_chest_otel._base import sqlite

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HeldError", "Limits"]

LOG_PAGES = 1000
"""Number of pages in the write-ahead log after which SQLite copies them into the file, at most."""

SMALLEST_LOG_BYTES = 1024 * 1024
"""The write-ahead log may have this size in any case; else a quarter of what the batches may take."""

DROPPED_AT_ONCE = 500
"""How many batches one transaction deletes because of the bounds, at most."""

PAGES_RETURNED = 400
"""How many free pages are returned to the file system at once, at most."""

AGED_EVERY_S = 10.0
"""Time between two searches for batches that are too old, seconds."""


class HeldError(Exception):
    """Writing has to wait: another process reads an old state of the file, so the write-ahead log cannot be emptied."""


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
        self._log = path.with_name(f"{path.name}-wal")
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._log_bytes = max(SMALLEST_LOG_BYTES, max_bytes // 4)
        self._next_aging = 0.0
        page_bytes = sqlite.pragma(connection, "page_size")
        pages = min(LOG_PAGES, self._log_bytes // 2 // page_bytes)
        connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
        connection.execute(f"PRAGMA journal_size_limit = {pages * page_bytes}")

    def hold_back(self, share: float = 1.0) -> None:
        """Raise while the write-ahead log is larger than ``share`` of its bound and cannot be emptied.

        Raises:
            HeldError: A reader prevents it.
        """
        bound = self._log_bytes * share
        if self.log_bytes() <= bound:
            return
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if self.log_bytes() > bound:
            raise HeldError(f"a reader holds {self._path} open in a transaction: end it")

    def keep(self) -> None:
        """Delete batches that are too old or exceed the size."""
        if time.monotonic() >= self._next_aging:
            self._drop_aged(time.time_ns() - int(self._max_age_s * 1e9))
            self._next_aging = time.monotonic() + AGED_EVERY_S
            pages, free = (sqlite.pragma(self._connection, name) for name in ("page_count", "freelist_count"))
            # SQLite reuses free pages. Returning them means copying, which pays off only for many.
            if free > max(256, pages // 2):
                self._give_back()
        if self.used_bytes() > self._max_bytes:
            # Delete several at once, so that at the bound not every single put has to delete.
            some = max(1, min(sum(self.totals()) // 20, DROPPED_AT_ONCE))
            while self.used_bytes() > self._max_bytes and self._drop("ORDER BY batch_id LIMIT ?", some):
                _let_others_run()
            self._give_back()

    def _drop_aged(self, oldest_ns: int) -> None:
        for state in ("refused IS NULL", "refused IS NOT NULL"):
            which = f"WHERE {state} AND created_unix_ns < ? ORDER BY created_unix_ns LIMIT ?"
            while self._drop(which, oldest_ns, DROPPED_AT_ONCE) == DROPPED_AT_ONCE:
                _let_others_run()

    def _give_back(self) -> None:
        # Each step of this statement frees one page, and execute would take only one.
        self._connection.executescript(f"PRAGMA incremental_vacuum({PAGES_RETURNED})")

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
        used = sqlite.pragma(self._connection, "page_count") - sqlite.pragma(self._connection, "freelist_count")
        return used * sqlite.pragma(self._connection, "page_size")

    def log_bytes(self) -> int:
        """Return how much the write-ahead log takes, bytes."""
        try:
            return self._log.stat().st_size
        except OSError:
            return 0


def _let_others_run() -> None:
    # Under gevent, other greenlets cannot run while SQLite works: sleep(0) lets them.
    time.sleep(0)
