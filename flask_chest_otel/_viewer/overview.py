"""Data of the first page: numbers of requests and failures, durations, and what the chest itself has lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._store.overview import merged

if TYPE_CHECKING:
    from flask_chest_otel._store.answers import OverviewRow
    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._store.wanted import Wanted
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["figures", "overview_data"]

STEPS_S = (60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400)
"""Possible lengths of a bar; the shortest that makes at most ``MOST_BARS`` bars is taken, seconds."""

FINE_STEPS_S = (1, 2, 5, 10, 15)
SHORT_S = 20 * 60
"""Spans up to this length are shown in bars of ``FINE_STEPS_S``, as somebody is trying the application, seconds."""

MOST_READ = 20_000
"""How many requests are read one by one, at most."""

MOST_BARS = 120
NEWEST_ERRORS = 5
NOBODY = {
    "count": 0,
    "ok": 0,
    "client_errors": 0,
    "server_errors": 0,
    "p50_ms": None,
    "p95_ms": None,
    "p99_ms": None,
}
"""A bar without requests."""

MOST_ROUTES = 200
"""How many routes the table has at most, the busiest ones; an application may have thousands."""


def overview_data(reader: StoreReader, given: Filter) -> dict[str, object]:
    """Return the data of the page as JSON values."""
    wanted = given.wanted
    routes = sorted(reader.overview(wanted), key=lambda row: -row.count)
    per_s, series = _series(reader, wanted, sum(row.count for row in routes))
    return {
        "per_s": per_s,
        "series": series,
        "total": figures(merged(routes)) if routes else None,
        "routes": [
            {"service": row.group[0], "route": row.group[1] or None, "method": row.group[2], **figures(row)}
            for row in routes[:MOST_ROUTES]
        ],
        "routes_left_out": max(0, len(routes) - MOST_ROUTES),
        "errors": [
            {"type": one.type, "message": one.last_message, "route": one.route, "last": one.last, "id": one.last_ids[0]}
            for one in reader.errors(wanted, NEWEST_ERRORS)
        ],
        "losses": reader.losses(reader.newest(wanted, MOST_READ))._asdict(),
    }


def figures(row: OverviewRow) -> dict[str, object]:
    """Return the figures of a row, times in milliseconds."""
    p50_ms, p95_ms, p99_ms = map(_rounded, row.quantiles_ms(0.5, 0.95, 0.99))
    return {
        "count": row.count,
        "client_errors": row.client_errors,
        "server_errors": row.server_errors,
        "mean_ms": _rounded(row.mean_ms),
        "p50_ms": p50_ms,
        "p95_ms": p95_ms,
        "p99_ms": p99_ms,
        "max_ms": _rounded(row.max_ms),
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)


def _series(reader: StoreReader, wanted: Wanted, count: int) -> tuple[int, list[dict[str, object]]]:
    """Return the length of a bar in seconds, and an entry for each bar, also for bars without requests."""
    span = reader.span(wanted)
    if span is None:
        return STEPS_S[0], []
    lasts_s = (span[1] - span[0]) // 10**9
    # Bars of seconds need each request, while longer ones use counts per minute.
    steps_s = (*FINE_STEPS_S, *STEPS_S) if lasts_s <= SHORT_S and count <= MOST_READ else STEPS_S
    # A clock that was wrong by years makes a long span: then a bar is some weeks, so there are never too many.
    weeks_s = STEPS_S[-1] * (lasts_s // (STEPS_S[-1] * MOST_BARS) + 1)
    per_s = next((step for step in steps_s if lasts_s < step * MOST_BARS), weeks_s)
    rows = {int(row.start_s or 0): row for row in reader.overview(wanted, by=(), per_s=per_s)}
    # Weeks may begin at other times than multiples of `per_s`.
    every = sorted({*range(min(rows), max(rows) + 1, per_s), *rows})
    return per_s, [{"start_s": start, **_bar(rows.get(start))} for start in every]


def _bar(row: OverviewRow | None) -> dict[str, object]:
    if row is None:
        return dict(NOBODY)
    return {"ok": row.count - row.client_errors - row.server_errors, **figures(row)}
