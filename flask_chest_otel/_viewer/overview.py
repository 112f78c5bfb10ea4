"""The first page: how many requests, how many failed, how long they took, and what the chest itself has lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask_chest_otel._store.reader import OverviewRow, StoreReader, Wanted
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["figures", "overview_data"]

STEPS_S = (60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400)
"""How long one bar lasts: the shortest of these that does not make too many bars, seconds."""

MOST_BARS = 120
DAY_S = 86400
NEWEST_ERRORS = 5
MOST_ROUTES = 200
"""Routes in the table at most, the busiest; an application without bounds may have thousands."""


def overview_data(reader: StoreReader, given: Filter) -> dict[str, Any]:
    """What the overview shows, as values that JSON knows."""
    wanted = given.wanted
    span = _span(reader, wanted)
    per_s = next((step for step in STEPS_S if (span[1] - span[0]) <= step * MOST_BARS), STEPS_S[-1])
    total = reader.overview(wanted, by=())
    routes = sorted(reader.overview(wanted), key=lambda row: -row.count)
    errors = sorted(reader.errors(wanted), key=lambda group: group.last, reverse=True)
    return {
        "per_s": per_s,
        "series": _series(reader, wanted, span, per_s),
        "total": figures(total[0]) if total else None,
        "routes": [
            {"service": row.group[0], "route": row.group[1] or None, "method": row.group[2], **figures(row)}
            for row in routes[:MOST_ROUTES]
        ],
        "routes_left_out": max(0, len(routes) - MOST_ROUTES),
        "errors": [
            {"type": one.type, "message": one.last_message, "route": one.route, "last": one.last, "id": one.last_ids[0]}
            for one in errors[:NEWEST_ERRORS]
        ],
        "losses": reader.losses(wanted)._asdict(),
    }


def figures(row: OverviewRow) -> dict[str, Any]:
    """The figures of a row, times in milliseconds."""
    return {
        "count": row.count,
        "client_errors": row.client_errors,
        "server_errors": row.server_errors,
        "mean_ms": _rounded(row.mean_ms),
        "p50_ms": _rounded(row.quantile_ms(0.5)),
        "p95_ms": _rounded(row.quantile_ms(0.95)),
        "p99_ms": _rounded(row.quantile_ms(0.99)),
        "max_ms": _rounded(row.max_ms),
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 3)


def _span(reader: StoreReader, wanted: Wanted) -> tuple[int, int]:
    """From when to when there are requests, seconds since 1970, as exactly as a bar is long."""
    step = DAY_S
    rows = reader.overview(wanted, by=(), per_s=step)
    if len(rows) <= 2:  # noqa: PLR2004 - within two days minutes tell more
        step = 60
        rows = reader.overview(wanted, by=(), per_s=step)
    if not rows:
        return 0, 0
    return int(rows[0].start_s or 0), int(rows[-1].start_s or 0) + step


def _series(reader: StoreReader, wanted: Wanted, span: tuple[int, int], per_s: int) -> list[dict[str, Any]]:
    """One entry for each bar, also where nobody came."""
    rows = {row.start_s: row for row in reader.overview(wanted, by=(), per_s=per_s)}
    if not rows:
        return []
    first, last = min(rows), max(rows)  # type: ignore[type-var]  # with per_s each row has its time
    starts = range(int(first or 0), min(int(last or 0), span[1]) + 1, per_s)
    # Days of a week that begins on another day than the epoch's lie beside this raster.
    every = sorted({*starts, *(start for start in rows if start is not None)})
    return [{"start_s": start, **_bar(rows.get(start))} for start in every]


def _bar(row: OverviewRow | None) -> dict[str, Any]:
    if row is None:
        return {
            "count": 0,
            "ok": 0,
            "client_errors": 0,
            "server_errors": 0,
            "p50_ms": None,
            "p95_ms": None,
            "p99_ms": None,
        }
    return {"ok": row.count - row.client_errors - row.server_errors, **figures(row)}
