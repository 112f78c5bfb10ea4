"""A SQLite file of bounded size: how much is used, its write-ahead log within a bound, free pages given back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask_chest_otel._base.sqlite import pragma

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = [
    "HeldError",
    "empty_log",
    "give_back",
    "has_much_free",
    "hold_back",
    "let_others_run",
    "limit_log",
    "log_bytes",
    "used_bytes",
]

LOG_PAGES = 1000
"""Number of pages in the write-ahead log after which SQLite copies them into the file, at most."""

PAGES_AT_ONCE = 200
"""How many free pages one statement returns to the file system."""

NAP_S = 0.02
"""Pause between two tries to empty the write-ahead log, seconds."""


class HeldError(Exception):
    """Writing has to wait: another process reads an old state of the file, so the write-ahead log cannot be emptied."""


def limit_log(connection: sqlite3.Connection, bound_bytes: int) -> None:
    """Have SQLite copy the write-ahead log into the file long before the log reaches its bound."""
    page_bytes = pragma(connection, "page_size")
    pages = min(LOG_PAGES, bound_bytes // 2 // page_bytes)
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
    connection.execute(f"PRAGMA journal_size_limit = {pages * page_bytes}")


def hold_back(connection: sqlite3.Connection, path: Path, bound_bytes: float, *, wait_s: float = 0.0) -> None:
    """Raise while the write-ahead log is larger than its bound and cannot be emptied.

    Args:
        connection: A connection to the file.
        path: The file.
        bound_bytes: The bound of its log.
        wait_s: How long to wait for readers that prevent it, seconds.

    Raises:
        HeldError: A reader prevents it; a later try may succeed.
    """
    if log_bytes(path) <= bound_bytes:
        return
    empty_log(connection, wait_s)
    if log_bytes(path) > bound_bytes:
        raise HeldError(f"a reader holds {path} open in a transaction: end it")


def empty_log(connection: sqlite3.Connection, wait_s: float = 0.0) -> None:
    """Copy the whole write-ahead log into the file, unless readers prevent it for longer than ``wait_s`` seconds."""
    until = time.monotonic() + wait_s
    while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] and time.monotonic() < until:
        time.sleep(NAP_S)


def give_back(connection: sqlite3.Connection, most_pages: int) -> None:
    """Return free pages to the file system, at most so many."""
    for _ in range(0, min(pragma(connection, "freelist_count"), most_pages), PAGES_AT_ONCE):
        # Each step of this statement frees one page, and execute would take only one.
        connection.executescript(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")
        let_others_run()


def has_much_free(connection: sqlite3.Connection) -> bool:
    """Whether returning free pages pays off: SQLite reuses them, and returning them means copying."""
    pages, free = (pragma(connection, name) for name in ("page_count", "freelist_count"))
    return free > max(256, pages // 2)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return how much of the file is used, without its free pages and its log, bytes."""
    used = pragma(connection, "page_count") - pragma(connection, "freelist_count")
    return used * pragma(connection, "page_size")


def log_bytes(path: Path) -> int:
    """Return how much the write-ahead log of a file takes, bytes."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except OSError:
        return 0


def let_others_run() -> None:
    """Let other greenlets run: under gevent they cannot while SQLite works, unless ``sleep(0)`` lets them."""
    time.sleep(0)
