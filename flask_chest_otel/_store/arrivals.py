"""Remembers in which order requests came into the store.

A request comes when it ends, and its key sorts by its begin. A page or command that shows new requests asks for those
that came after the last one shown. Only the last requests are remembered. A trigger remembers them, so that requests
that a worker of release 0.1.0 writes are among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["COLUMNS", "CREATION", "JOINED", "MOST_REMEMBERED", "REMEMBERED", "TABLE", "last_key", "number_of"]

TABLE = "chest_arrivals"
COLUMNS = ("number", "request_key")

REMEMBERED = 2000
"""Requests that are remembered, at least. A reader that looks twice a second misses none up to 4 000 requests/s."""

_FORGOTTEN_AT_ONCE = 100
MOST_REMEMBERED = REMEMBERED + _FORGOTTEN_AT_ONCE - 1

CREATION = (
    f"CREATE TABLE {TABLE} (number INTEGER PRIMARY KEY, request_key TEXT NOT NULL)",
    f"""CREATE TRIGGER chest_requests_arrived AFTER INSERT ON chest_requests
        BEGIN INSERT INTO {TABLE} (request_key) VALUES (NEW.record_key); END""",  # noqa: S608 - our own name
    # Rows are deleted many at once: to find those of one request takes as long as to insert its row.
    f"""CREATE TRIGGER chest_arrivals_forgotten AFTER INSERT ON {TABLE} WHEN NEW.number % {_FORGOTTEN_AT_ONCE} = 0
        BEGIN DELETE FROM {TABLE} WHERE number <= NEW.number - {REMEMBERED}; END""",  # noqa: S608 - our own name
)
"""Statements that make the table."""

JOINED = f"{TABLE} JOIN chest_requests ON request_key = record_key"
"""The remembered requests that are still there."""


def last_key(connection: sqlite3.Connection) -> str | None:
    """Return the key of the request that came last; ``None``: none is remembered."""
    found = connection.execute(f"SELECT request_key FROM {TABLE} ORDER BY number DESC LIMIT 1").fetchone()  # noqa: S608 - our own name
    return found and str(found[0])


def number_of(connection: sqlite3.Connection, key: str) -> int | str:
    """Return the number of a request; in a file of release 0.1.0, its key.

    -1 means that the request is forgotten or was in another file: all remembered requests are new.
    """
    # A request that was deleted and delivered again came twice.
    found = connection.execute(f"SELECT max(number) FROM {TABLE} WHERE request_key = ?", (key,)).fetchone()  # noqa: S608 - our own name
    number: int | str | None = found[0]
    return -1 if number is None else number
