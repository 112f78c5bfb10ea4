"""How old and how large a store may become: kept by the writer, the oldest requests go first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask_chest_otel._base.sqlite import transaction
from flask_chest_otel._records.schema import key_at
from flask_chest_otel._store import rolling
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["Bounds", "StoreHeldError"]

SMALLEST_BYTES = 1024 * 1024
"""The least that ``max_bytes`` may be: tables, indices and a little write-ahead log have to fit."""

AGED_EVERY_S = 60.0
"""Time between two looks for requests that are too old, seconds."""

TRIM_BUDGET_S = 1.0
"""How long one look may delete, seconds; the rest is left to the next, as the queue fills up meanwhile."""

DELETED_AT_ONCE = 200
"""Requests that are deleted in one transaction: other workers wait that long, and so do all greenlets of gevent."""

PAGES_RETURNED = 4000
"""Free pages given back to the file system in one look at most."""

PAGES_AT_ONCE = 200
"""Of these, pages given back in one statement."""

READER_S = 0.2
"""How long a reader is waited for who keeps the write-ahead log from being emptied, seconds."""


class StoreHeldError(Exception):
    """A reader keeps an old state of the file, so its write-ahead log can only grow: writing has to wait."""


class Bounds:
    """The two bounds of one store.

    Args:
        max_age_s: Older requests are deleted, seconds.
        max_bytes: What the file and its write-ahead log take together; for a moment one batch more.

    Raises:
        ChestConfigError: A bound cannot be kept.
    """

    def __init__(self, max_age_s: float, max_bytes: int) -> None:
        if not max_age_s > 0:
            raise ChestConfigError("max_age_s", max_age_s, "a number of seconds greater than 0")
        if max_bytes < SMALLEST_BYTES:
            raise ChestConfigError("max_bytes", max_bytes, f"a number of bytes, at least {SMALLEST_BYTES}")
        self.max_age_s = max_age_s
        self.log_bytes = max_bytes // 4
        self._file_bytes = max_bytes - self.log_bytes
        self._next_aging = 0.0

    def configure(self, connection: sqlite3.Connection) -> None:
        """Set what a connection has to know about the bounds."""
        page_bytes = _pragma(connection, "page_size")
        pages = min(1000, self.log_bytes // 2 // page_bytes)
        connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
        connection.execute(f"PRAGMA journal_size_limit = {self.log_bytes // 2}")

    def before_write(self, connection: sqlite3.Connection, path: Path) -> None:
        """Hold back when the write-ahead log is at its bound and cannot be emptied.

        Raises:
            StoreHeldError: Somebody reads an old state; trying again later is all one can do.
        """
        log = path.with_name(f"{path.name}-wal")
        if not log.exists() or log.stat().st_size <= self.log_bytes:
            return
        _empty_log(connection)
        if log.exists() and log.stat().st_size > self.log_bytes:
            raise StoreHeldError(f"a reader holds {path} open in a transaction: end it")

    def after_write(self, connection: sqlite3.Connection) -> None:
        """Delete what is too old or too much; costs three small reads when there is nothing to do."""
        give_up_at = time.monotonic() + TRIM_BUDGET_S
        if time.monotonic() >= self._next_aging:
            oldest_ns = time.time_ns() - int(self.max_age_s * 1e9)
            while _delete_oldest(connection, before=key_at(oldest_ns)):
                _let_others_run()
                if time.monotonic() >= give_up_at:
                    break
            else:
                self._next_aging = time.monotonic() + AGED_EVERY_S
        if _used_bytes(connection) > self._file_bytes * 0.95:
            while _used_bytes(connection) > self._file_bytes * 0.85 and time.monotonic() < give_up_at:
                if not _delete_oldest(connection):
                    break
                _let_others_run()
        self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        pages, free = _pragma(connection, "page_count"), _pragma(connection, "freelist_count")
        too_large = pages * _pragma(connection, "page_size") > self._file_bytes
        # Free pages are used again first; only many of them are worth the moving around.
        if free and (too_large or free > max(256, pages // 2)):
            for _ in range(0, min(free, PAGES_RETURNED), PAGES_AT_ONCE):
                # Each step of this statement frees one page, and execute would take only one.
                connection.executescript(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")
                _let_others_run()
            _empty_log(connection)


def _delete_oldest(connection: sqlite3.Connection, before: str = "g") -> bool:
    """Delete some of the oldest requests with keys below ``before``; ``False`` when there is none."""
    with transaction(connection):
        (newest_out,) = connection.execute(
            "SELECT max(record_key) FROM (SELECT record_key FROM chest_requests"
            " WHERE record_key < ? ORDER BY record_key LIMIT ?)",
            (before, DELETED_AT_ONCE),
        ).fetchone()
        if newest_out is not None:
            connection.execute("DELETE FROM chest_variables WHERE request_key <= ?", (newest_out,))
            connection.execute("DELETE FROM chest_requests WHERE record_key <= ?", (newest_out,))
            rolling.trim(connection, newest_out)
    return newest_out is not None


def _empty_log(connection: sqlite3.Connection) -> None:
    # A reader is waited for, but not for long: the queue fills up meanwhile.
    until = time.monotonic() + READER_S
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] and time.monotonic() < until:
        time.sleep(READER_S / 10)


def _let_others_run() -> None:
    # Greenlets of gevent, which have no other chance while SQLite works.
    time.sleep(0)


def _used_bytes(connection: sqlite3.Connection) -> int:
    used = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return used * _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
