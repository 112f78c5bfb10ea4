"""Groups requests that recorded an exception, by application, class, place and route."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask_chest_otel._records.schema import began_unix_ns, utc_text
from flask_chest_otel._records.tables import REQUESTS
from flask_chest_otel._store.answers import ErrorGroup
from flask_chest_otel._store.rows import typed
from flask_chest_otel._store.wanted import ANY_ERROR, Wanted, conditions

if TYPE_CHECKING:
    import sqlite3

__all__ = ["error_groups"]

_GROUPED = ("service", "error_type", "error_place", "route")


def error_groups(connection: sqlite3.Connection, wanted: Wanted, newest: int) -> list[ErrorGroup]:
    """Return the groups of the wanted requests.

    Args:
        connection: The store.
        wanted: Selects requests.
        newest: Return at most this many groups, the one with the newest request first; 0: all, the largest first.
    """
    condition, values = conditions(replace(wanted, error_type=wanted.error_type or ANY_ERROR))
    names = ", ".join(_GROUPED)
    order = "max(record_key) DESC" if newest else "count(*) DESC"
    sql = [
        f"SELECT {names}, count(*), total(CAST(error_handled AS INTEGER) > 0), min(record_key), max(record_key)",
        f"FROM chest_requests WHERE {condition} GROUP BY {names} ORDER BY {order}, {names} LIMIT ?",
    ]
    groups = connection.execute(" ".join(sql), [*values, newest or -1]).fetchall()
    return [_group(connection, group, condition, values) for group in groups]


def _group(connection: sqlite3.Connection, group: tuple[Any, ...], condition: str, values: list[object]) -> ErrorGroup:
    *names, count, handled, first, last = group
    same = " AND ".join(f"{name} IS ?" for name in _GROUPED)
    sql = [
        f"SELECT {typed(REQUESTS, 'request_id', 'error_message')} FROM chest_requests",  # noqa: S608 - our own words
        f"WHERE {condition} AND {same} ORDER BY time DESC, record_key DESC LIMIT 3",
    ]
    newest = connection.execute(" ".join(sql), [*values, *names]).fetchall()
    service, kind, place, route = (None if name is None else str(name) for name in names)
    return ErrorGroup(
        service=service or "",
        type=kind or "",
        place=place or "",
        route=route,
        count=count,
        handled=int(handled),
        first=utc_text(began_unix_ns(first)),
        last=utc_text(began_unix_ns(last)),
        last_ids=tuple(request_id for request_id, _ in newest),
        last_message=newest[0][1] or "",
    )
