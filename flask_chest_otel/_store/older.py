"""Lets a reader use the file of an older version without changing it: views replace what the file lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._records.tables import ADDED_COLUMNS
from flask_chest_otel._store import arrivals, rollups, slo_counts

if TYPE_CHECKING:
    import sqlite3

__all__ = ["bring_up"]


def bring_up(connection: sqlite3.Connection) -> None:
    """Create temporary views for the tables and columns that an older file lacks."""
    known = "SELECT 1 FROM sqlite_master WHERE name = ?"
    for name, views in _VIEWS.items():
        if connection.execute(known, (name,)).fetchone() is None:
            for view in views:
                connection.execute(f"CREATE TEMP VIEW IF NOT EXISTS {view}")


_EMPTY = ", ".join(f"NULL AS {column.name}" for column in ADDED_COLUMNS)
_NOTHING = ", ".join(f"NULL AS {name}" for name in rollups.COLUMNS)

_NO_COUNTS = ", ".join(f"NULL AS {name}" for name in slo_counts.COLUMNS)
# The order in which requests began is all that an older file has.
_BY_BEGIN = ", ".join(f"record_key AS {name}" for name in arrivals.COLUMNS)

_VIEWS = {
    rollups.ROLLUPS.name: (
        f"chest_requests AS SELECT *, {_EMPTY} FROM main.chest_requests",  # noqa: S608 - our own names
        "chest_details AS SELECT NULL AS request_key, NULL AS spans, NULL AS logs WHERE 0",
        f"{rollups.ROLLUPS.name} AS SELECT {_NOTHING} WHERE 0",
        "chest_rolled_up AS SELECT '' AS until_key, '' AS deleted_key",
        "chest_late AS SELECT NULL AS record_key WHERE 0",
    ),
    rollups.TOTALS.name: (
        f"{rollups.TOTALS.name} AS SELECT {_NOTHING} WHERE 0",
        # Pretend that nothing is rolled up, as one of the two tables has no figures: each request is read.
        "chest_rolled_up AS SELECT '' AS until_key, deleted_key FROM main.chest_rolled_up",
        "chest_late AS SELECT NULL AS record_key WHERE 0",
    ),
    slo_counts.TABLE: (
        f"chest_requests AS SELECT *, NULL AS {slo_counts.COLUMN} FROM main.chest_requests",  # noqa: S608 - the same
        f"{slo_counts.TABLE} AS SELECT {_NO_COUNTS} WHERE 0",
    ),
    arrivals.TABLE: (f"{arrivals.TABLE} AS SELECT {_BY_BEGIN} FROM main.chest_requests",),  # noqa: S608 - the same
}
"""Name of a missing table to the views that replace it."""
