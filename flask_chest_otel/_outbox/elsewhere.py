"""Outboxes of the same name from which nobody sends: of an earlier version, or of another address."""

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
"""What the log says of one."""


def elsewhere(home: Path, folder: Path) -> Iterator[tuple[Path, int]]:
    """Folders in which batches lie that no living process has to do with, and how many; they are left as they are.

    Args:
        home: The folder of all outboxes of one name.
        folder: The one among them that is in use here.
    """
    for path in sorted([home / FILENAME, *home.glob(f"*/{FILENAME}")]):
        with suppress(OSError, sqlite3.Error):
            if path.exists() and path.parent != folder and not is_used(path.parent) and (count := _count(path)):
                yield path.parent, count


def _count(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=0)) as connection:
        return int(connection.execute("SELECT count(*) FROM outbox_batches").fetchone()[0])
