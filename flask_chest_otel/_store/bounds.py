"""Bounds of a store in age and size. The writer enforces them by deleting the oldest requests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask_chest_otel._base import bounded
from flask_chest_otel._base.sqlite import pragma, transaction
from flask_chest_otel._guard import Log
from flask_chest_otel._records.schema import key_at
from flask_chest_otel._store import rolling, slo_counts
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["Bounds"]

SMALLEST_BYTES = 1024 * 1024
"""Smallest allowed ``max_bytes``: tables, indices and a small write-ahead log have to fit."""

AGED_EVERY_S = 60.0
"""Time between two searches for requests that are too old, seconds."""

TRIM_BUDGET_S = 1.0
"""How long one search may delete, seconds. The next one deletes the rest, as the queue fills up meanwhile."""

DELETED_AT_ONCE = 200
"""How many requests one transaction deletes. Other processes wait that long, and under gevent all greenlets, too."""

PAGES_RETURNED = 4000
"""How many free pages are returned to the file system after one write, at most."""

READER_S = 0.2
"""How long to wait for a reader that prevents emptying the write-ahead log, seconds."""

DAY_S = 86400.0

JUMP_S = DAY_S
"""From when on a difference between two clocks is a jump of one of them, seconds."""

DOUBTED_S = DAY_S
"""How long nothing is deleted for its age after the clock has jumped, seconds."""

logger = Log(__name__)


class Bounds:
    """The two bounds of one store.

    Args:
        max_age_s: Older requests are deleted, seconds.
        max_bytes: How much the file and its write-ahead log may take together, bytes; for a short time one batch more.

    Raises:
        ChestConfigError: A bound is too small.
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
        self._clock = _Clock()

    def configure(self, connection: sqlite3.Connection) -> None:
        """Set SQLite's parameters for the bounds on a connection."""
        bounded.limit_log(connection, self.log_bytes)

    def before_write(self, connection: sqlite3.Connection, path: Path) -> None:
        """Raise if the write-ahead log has reached its bound and cannot be emptied.

        Raises:
            HeldError: Another process reads an old state of the file; try again later.
        """
        bounded.hold_back(connection, path, self.log_bytes, wait_s=READER_S)

    def after_write(self, connection: sqlite3.Connection) -> None:
        """Delete requests that are too old or exceed the size; three small reads if there are none."""
        give_up_at = time.monotonic() + TRIM_BUDGET_S
        if time.monotonic() >= self._next_aging and self._clock.is_believed():
            now_s = time.time()
            slo_counts.forget(connection, now_s)
            oldest_ns = int((now_s - self.max_age_s) * 1e9)
            while _delete_oldest(connection, before=key_at(oldest_ns)):
                bounded.let_others_run()
                if time.monotonic() >= give_up_at:
                    break
            else:
                self._next_aging = time.monotonic() + AGED_EVERY_S
        if bounded.used_bytes(connection) > self._file_bytes * 0.95:
            while bounded.used_bytes(connection) > self._file_bytes * 0.85 and time.monotonic() < give_up_at:
                if not _delete_oldest(connection):
                    break
                bounded.let_others_run()
        self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        too_large = pragma(connection, "page_count") * pragma(connection, "page_size") > self._file_bytes
        if pragma(connection, "freelist_count") and (too_large or bounded.has_much_free(connection)):
            bounded.give_back(connection, PAGES_RETURNED)
            # Wait for a reader, but not long: the queue fills up meanwhile.
            bounded.empty_log(connection, READER_S)


class _Clock:
    """The wall clock, beside one that nobody sets: who sets it wrong for an hour shall not lose what was stored."""

    def __init__(self) -> None:
        self._ahead_s = _ahead_s()
        self._doubted_until = 0.0

    def is_believed(self) -> bool:
        """Whether it has run steadily of late; a jump is said."""
        ahead_s, now_s = _ahead_s(), time.monotonic()
        if abs(ahead_s - self._ahead_s) >= JUMP_S:
            logger.warning(
                "flask_chest: the clock has jumped by %+.1f days: for a day nothing is deleted from the store for its"
                " age",
                (ahead_s - self._ahead_s) / DAY_S,
            )
            self._ahead_s, self._doubted_until = ahead_s, now_s + DOUBTED_S
        return now_s >= self._doubted_until


def _ahead_s() -> float:
    """How far the wall clock is ahead of one that nobody sets, and that goes on while the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.time() - (time.monotonic() if boot is None else time.clock_gettime(boot))


def _delete_oldest(connection: sqlite3.Connection, before: str = "g") -> bool:
    """Delete some of the oldest requests with keys below ``before``; ``False``: there are none."""
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
