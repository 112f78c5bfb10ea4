"""Numbers of good and bad requests of each objective, by minute and by hour.

Each request is counted once, when it is rolled up, and stays counted when it is deleted: an objective's window is
longer than most stores keep requests. Minutes are kept for the time that the longest alert covers, hours for the
longest window.
"""

from __future__ import annotations

import time
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._records.schema import key_at
from flask_chest_otel._store.answers import SLOCount
from flask_chest_otel._store.rollups import DAY_S, HOUR_S, MINUTE_S, start_s_of
from flask_chest_otel._store.rows import verdicts_in
from flask_chest_otel.slo import LONGEST_WINDOW_DAYS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["COLUMN", "COLUMNS", "CREATION", "MINUTES_KEPT_S", "TABLE", "add", "counts", "forget"]

TABLE = "chest_slo_counts"

COLUMN = "slos"
"""Column of ``chest_requests`` with the verdicts of objectives, as JSON."""

MINUTES_KEPT_S = 4 * DAY_S
"""How long the counts of single minutes are kept, seconds."""

HOURS_KEPT_S = (LONGEST_WINDOW_DAYS + 1) * DAY_S
"""How long the counts of single hours are kept, seconds."""

_KEPT_S = {MINUTE_S: MINUTES_KEPT_S, HOUR_S: HOURS_KEPT_S}


class _Place(NamedTuple):
    per_s: int
    start_s: int
    service: str
    slo: str


COLUMNS = (*_Place._fields, "good", "bad")

CREATION = (
    f"""CREATE TABLE {TABLE} (
        per_s INTEGER NOT NULL, start_s INTEGER NOT NULL, service TEXT NOT NULL, slo TEXT NOT NULL,
        good INTEGER NOT NULL, bad INTEGER NOT NULL, PRIMARY KEY ({", ".join(_Place._fields)})) WITHOUT ROWID""",
)
"""Statements that create the table."""

Request = tuple[str, str, str]
"""Key, application, and text of the column ``slos``."""


def add(connection: sqlite3.Connection, requests: Sequence[Request]) -> None:
    """Count requests, in the caller's transaction."""
    if not requests:
        return
    found: dict[_Place, list[int]] = defaultdict(lambda: [0, 0])
    for key, service, text in requests:
        at_s = start_s_of(key)
        for slo, good in _verdicts(text):
            for per_s in _KEPT_S:
                found[_Place(per_s, at_s - at_s % per_s, service, slo)][not good] += 1
    connection.executemany(_ADDING, [(*place, *counted) for place, counted in found.items()])


def forget(connection: sqlite3.Connection, now_s: float) -> None:
    """Delete counts that are too old."""
    for per_s, kept_s in _KEPT_S.items():
        connection.execute(_FORGETTING, (per_s, int(now_s) - kept_s))


def counts(
    connection: sqlite3.Connection, since_s: float, until_s: float, per_s: int | None = None, service: str | None = None
) -> list[SLOCount]:
    """Return the numbers of good and bad requests of each objective, from the counts of minutes and hours.

    Deleted requests stay counted for 90 days. If ``since_s`` is more than four days ago, its whole hour is counted.

    Args:
        connection: The store.
        since_s: Count requests that began at this time or later, seconds since 1970 UTC.
        until_s: Count requests that began before this time, seconds since 1970 UTC.
        per_s: Length of a row's interval, seconds: whole hours, or whole minutes in the last four days; ``None``: one
            interval.
        service: Count requests of this application only; ``None``: of all.
    """
    now_s, end_s = int(time.time()), int(until_s)
    start_s = int(since_s)
    if start_s < now_s - MINUTES_KEPT_S:
        start_s -= start_s % HOUR_S
    first_s, last_s = start_s + -start_s % MINUTE_S, end_s - end_s % MINUTE_S
    found: dict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for at_s, whose, slo, good, bad in _parts(connection, (start_s, first_s, last_s, end_s), per_s):
        if service is None or whose == service:
            place = start_s if per_s is None else max(start_s, at_s - at_s % per_s)
            counted = found[place, whose, slo]
            counted[0] += good
            counted[1] += bad
    return [SLOCount(*place, *counted) for place, counted in sorted(found.items())]


_Part = tuple[int, str, str, int, int]


def _parts(connection: sqlite3.Connection, times: tuple[int, int, int, int], per_s: int | None) -> Iterator[_Part]:
    """Yield counts of whole minutes and hours, and of single requests that these do not include."""
    start_s, first_s, last_s, end_s = times
    if first_s >= last_s:
        yield from _singles(connection, "1", (), start_s, end_s)
        return
    yield from _singles(connection, "1", (), start_s, first_s)
    yield from _singles(connection, "1", (), last_s, end_s)
    (until_key,) = connection.execute("SELECT until_key FROM chest_rolled_up").fetchone() or ("",)
    yield from _singles(connection, "record_key >= ?", (until_key,), first_s, last_s)
    yield from _singles(connection, "record_key IN (SELECT record_key FROM chest_late)", (), first_s, last_s)
    for level_s, from_s, to_s in _pieces(first_s, last_s, per_s):
        yield from connection.execute(_COUNTED, (level_s, from_s, to_s))


def _pieces(first_s: int, last_s: int, per_s: int | None) -> Iterator[tuple[int, int, int]]:
    """Yield length, begin and end of minutes and hours so that a time is covered by as few rows as possible."""
    hours = first_s + -first_s % HOUR_S, last_s - last_s % HOUR_S
    if hours[0] >= hours[1] or (per_s is not None and per_s % HOUR_S):
        yield MINUTE_S, first_s, last_s
        return
    yield MINUTE_S, first_s, hours[0]
    yield HOUR_S, *hours
    yield MINUTE_S, hours[1], last_s


def _singles(
    connection: sqlite3.Connection, condition: str, values: tuple[str, ...], from_s: int, to_s: int
) -> Iterable[_Part]:
    """Yield the counts of requests that are read one by one."""
    if from_s >= to_s:
        return
    ends = key_at(from_s * 10**9), key_at(to_s * 10**9)
    sql = f"SELECT record_key, service, {COLUMN} FROM chest_requests WHERE record_key >= ? AND record_key < ?"  # noqa: S608 - our own words
    for key, service, text in connection.execute(f"{sql} AND {COLUMN} > '' AND {condition}", (*ends, *values)):
        for slo, good in _verdicts(text):
            yield start_s_of(key), service, slo, int(good), int(not good)


@lru_cache(maxsize=256)
def _verdicts(text: str) -> tuple[tuple[str, bool], ...]:
    return tuple(verdicts_in(text).items())


_ADDING = (
    f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({', '.join('?' for _ in COLUMNS)})"  # noqa: S608 - our own names
    f" ON CONFLICT ({', '.join(_Place._fields)}) DO UPDATE SET good = good + excluded.good, bad = bad + excluded.bad"
)
_FORGETTING = f"DELETE FROM {TABLE} WHERE per_s = ? AND start_s < ?"  # noqa: S608 - our own name
_COUNTED = f"SELECT start_s, service, slo, good, bad FROM {TABLE} WHERE per_s = ? AND start_s >= ? AND start_s < ?"  # noqa: S608 - our own name
