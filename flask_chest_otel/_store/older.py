"""A store that release 0.1.0 wrote, as today's questions expect it: for the one who reads, the file stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._records.schema import ADDED_COLUMNS
from flask_chest_otel._store import rollups

if TYPE_CHECKING:
    import sqlite3

__all__ = ["bring_up"]


def bring_up(connection: sqlite3.Connection) -> None:
    """Give a connection views of what an older file lacks, all of it empty."""
    known = "SELECT 1 FROM sqlite_master WHERE name = ?"
    if connection.execute(known, (rollups.TABLE,)).fetchone() is None:
        for view in _VIEWS:
            connection.execute(f"CREATE TEMP VIEW {view}")


_EMPTY = ", ".join(f"NULL AS {column.name}" for column in ADDED_COLUMNS)
_NOTHING = ", ".join(f"NULL AS {name}" for name in rollups.COLUMNS)

_VIEWS = (
    f"chest_requests AS SELECT *, {_EMPTY} FROM main.chest_requests",  # noqa: S608 - our own names
    "chest_details AS SELECT NULL AS request_key, NULL AS spans, NULL AS logs WHERE 0",
    f"{rollups.TABLE} AS SELECT {_NOTHING} WHERE 0",
    "chest_rolled_up AS SELECT '' AS until_key, '' AS deleted_key",
    "chest_late AS SELECT NULL AS record_key WHERE 0",
)
