"""The outbox's tables, and what has to be added to files of older versions."""

from __future__ import annotations

from flask_chest_otel._base import sqlite

__all__ = ["LAYOUT"]

APPLICATION_ID = 0x4348424F
"""SQLite's application id in the file's header: the letters ``CHBO``."""

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
# Batch numbers begin at a random number in each file, so that a number of a removed file is not found in the next.
_NUMBERS = "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox_batches', random() & 0x7fffffff)"

# Triggers count batches, whichever version of this package writes. So no reader has to scan the table for the number.
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
"""The version stays 1: older versions of this package that run at the same time can use a file with the additions."""
