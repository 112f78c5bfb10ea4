"""Finds outboxes of the same service that no process sends: of an earlier version, or for another address."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from flask_chest_otel._outbox.file import FILENAME
from flask_chest_otel._outbox.owner import is_used

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["NOBODY_SENDS", "elsewhere"]

NOBODY_SENDS = (
    "%d batches wait in %s, of an earlier version or of an application of the same name that sent to another address;"
    " nobody sends them. If they are yours: flask chest outbox send --outbox %s, else:"
    " flask chest outbox clear --everything --outbox %s"
)
"""Log line for one such outbox: number of batches, and its folder three times."""


def elsewhere(home: Path, folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield folders whose batches no living process sends, and how many batches each has; changes nothing there.

    Args:
        home: The folder that holds all outboxes of one service.
        folder: The outbox that this process uses.
    """
    for path in sorted([home / FILENAME, *home.glob(f"*/{FILENAME}")]):
        with suppress(OSError, sqlite3.Error):
            if path.exists() and path.parent != folder and not is_used(path.parent) and (count := _count(path)):
                yield path.parent, count


def _count(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=0)) as connection:
        return int(connection.execute("SELECT count(*) FROM outbox_batches").fetchone()[0])
