"""Converts rows of the store to Python values of the declared types, whatever another program inserted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask_chest_otel._records.record import RequestError
from flask_chest_otel._records.schema import read_value
from flask_chest_otel._records.tables import TIMED
from flask_chest_otel._store.answers import StoredRequest

if TYPE_CHECKING:
    from flask_chest_otel._records.tables import Column, Table

__all__ = ["stored_request", "typed", "value_of", "verdicts_in"]

_SQLITE_TYPES = {"integer": "INTEGER", "real": "REAL", "number": "NUMERIC"}


def typed(table: Table, *names: str) -> str:
    """Return SQL for columns, cast to the declared types: SQLite stores values of any type in any column."""
    return ", ".join(_cast(column) for name in names for column in table.columns if column.name == name)


def _cast(column: Column) -> str:
    kind = _SQLITE_TYPES.get(column.kind, "TEXT")
    cast = f"CAST({column.name} AS {kind})"
    return cast if column.nullable else f"coalesce({cast}, CAST('' AS {kind}))"


def value_of(kind: str, text: str) -> object:
    """Return the recorded value; the text itself if it does not have the type ``kind``."""
    try:
        return read_value(kind, text)
    except ValueError:
        return text


def stored_request(row: dict[str, Any], variables: dict[str, object]) -> StoredRequest:
    """Return the request of a row, which maps names of columns to values."""
    same = {name: row[name] for name in StoredRequest.__slots__ if name in row}
    complete = row["spans_complete"]
    given: dict[str, object] = {
        "key": row["record_key"],
        "variables": variables,
        "refused": _refused(row["refused"]),
        "error": _error(row),
        "timings": {kind: _timing(row, kind) for kind in TIMED if row[f"{kind}_count"]},
        "spans_dropped": row["spans_dropped"] or 0,
        "spans_complete": None if complete is None else bool(complete),
        "logs_dropped": row["logs_dropped"] or 0,
        "slos": verdicts_in(row["slos"]),
    }
    return StoredRequest(**{**same, **given})


def _timing(row: dict[str, Any], kind: str) -> tuple[int, float]:
    return row[f"{kind}_count"], row[f"{kind}_ms"] or 0.0


def _error(row: dict[str, Any]) -> RequestError | None:
    if row["error_type"] is None:
        return None
    message, place, stack = (row[f"error_{name}"] or "" for name in ("message", "place", "stack"))
    return RequestError(row["error_type"], message, place, stack, bool(row["error_handled"]))


def verdicts_in(text: str | None) -> dict[str, bool]:
    """Return name of each objective to whether the request was good, from the text of the column ``slos``."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    return {str(name): bool(good) for name, good in found.items()} if isinstance(found, dict) else {}


def _refused(text: str | None) -> dict[str, str] | None:
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    return {str(name): str(reason) for name, reason in found.items()} if isinstance(found, dict) else None
