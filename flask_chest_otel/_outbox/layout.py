"""The outbox's tables, and what older files lack of them."""

from __future__ import annotations

from flask_chest_otel._base import sqlite

__all__ = ["LAYOUT"]

APPLICATION_ID = 0x4348424F
"""``CHBO`` in the header of the file."""

_TABLE = """
CREATE TABLE outbox_batches (
    batch_id INTEGER PRIMARY KEY AUTOINCREMENT,
    signal TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_unix_ns INTEGER NOT NULL,
    items INTEGER NOT NULL,
    refused TEXT,
    body BLOB NOT NULL
)
"""
_INDEX = "CREATE INDEX outbox_waiting ON outbox_batches (owner, signal, batch_id) WHERE refused IS NULL"
# Each file has numbers of its own: what became of a batch of one that was removed says nothing of any in the next.
_NUMBERS = "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox_batches', random() & 0x7fffffff)"

# Counted as batches come and go, by whichever version of this package: nobody has to walk the table to know how many.
_CAME = """
CREATE TRIGGER outbox_came AFTER INSERT ON outbox_batches BEGIN
    UPDATE outbox_totals SET
        waiting = waiting + (NEW.refused IS NULL),
        refused = refused + (NEW.refused IS NOT NULL);
END
"""
_WENT = """
CREATE TRIGGER outbox_went AFTER DELETE ON outbox_batches BEGIN
    UPDATE outbox_totals SET
        waiting = waiting - (OLD.refused IS NULL),
        refused = refused - (OLD.refused IS NOT NULL);
END
"""
_CHANGED = """
CREATE TRIGGER outbox_changed AFTER UPDATE OF refused ON outbox_batches BEGIN
    UPDATE outbox_totals SET
        waiting = waiting + (NEW.refused IS NULL) - (OLD.refused IS NULL),
        refused = refused + (NEW.refused IS NOT NULL) - (OLD.refused IS NOT NULL);
END
"""
_ADDITIONS = (
    "CREATE TABLE outbox_totals (waiting INTEGER NOT NULL, refused INTEGER NOT NULL)",
    "INSERT INTO outbox_totals SELECT count(*) - count(refused), count(refused) FROM outbox_batches",
    _CAME,
    _WENT,
    _CHANGED,
    "CREATE INDEX outbox_waiting_age ON outbox_batches (created_unix_ns) WHERE refused IS NULL",
    "CREATE INDEX outbox_refused_age ON outbox_batches (created_unix_ns) WHERE refused IS NOT NULL",
)

LAYOUT = sqlite.Layout(
    APPLICATION_ID, 1, lambda version: () if version else (_TABLE, _INDEX, _NUMBERS), (("outbox_totals", _ADDITIONS),)
)
"""The version stays what it was: older versions of this package, which run beside this one, do not mind additions."""
