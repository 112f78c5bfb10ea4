"""Data of the page of objectives: what is left of each error budget, how fast it burns, and which requests were bad."""

from __future__ import annotations

import shlex
import time
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._slo.status import DAY_S, statuses
from flask_chest_otel.slo import LONGEST_WINDOW_DAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flask_chest_otel._slo.status import Status
    from flask_chest_otel._store.answers import SLOCount
    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel.slo import SLO

__all__ = ["Promised", "objectives_data"]

HOUR_S = 3600
BARS = 60


class Promised(NamedTuple):
    """The objectives of an application.

    Attributes:
        service: The application's name, as its stored requests have it.
        slos: The objectives.
    """

    service: str
    slos: Sequence[SLO]


def objectives_data(reader: StoreReader, promised: Promised | None) -> dict[str, object]:
    """Return the data of the page as JSON values.

    Args:
        reader: The store.
        promised: The application's objectives; ``None`` without an application: only stored counts are returned.
    """
    now_s = time.time()
    found = [] if promised is None else _promised(reader, promised, now_s)
    known = {(promised.service, slo.name) for slo in promised.slos} if promised is not None else set()
    counts = reader.slo_counts(now_s - LONGEST_WINDOW_DAYS * DAY_S, now_s)
    others = [one for one in counts if (one.service, one.name) not in known]
    return {
        "with_application": promised is not None,
        "objectives": found,
        "others": [{"service": one.service, "name": one.name, "good": one.good, "bad": one.bad} for one in others],
    }


def _promised(reader: StoreReader, promised: Promised, now_s: float) -> list[dict[str, object]]:
    @cache  # one query for all objectives of the same window
    def counted(begin_s: int, per_s: int) -> list[SLOCount]:
        return reader.slo_counts(begin_s, now_s, per_s, promised.service)

    found = statuses(reader, promised.slos, promised.service, now_s)
    return [_objective(counted, promised.service, one, int(now_s)) for one in found]


def _objective(
    counted: Callable[[int, int], list[SLOCount]], service: str, status: Status, now_s: int
) -> dict[str, object]:
    slo = status.slo
    window_s = slo.window_days * DAY_S
    per_s = max(HOUR_S, round(window_s / BARS / HOUR_S) * HOUR_S)
    begin_s = (now_s - window_s) // per_s * per_s
    rows = [one for one in counted(begin_s, per_s) if one.name == slo.name]
    return {
        "name": slo.name,
        "objective": slo.objective,
        "window_days": slo.window_days,
        "good": status.whole.good,
        "bad": status.whole.bad,
        "budget_left": round(status.budget_left, 6),
        "burn": round(status.burn(), 4),
        "spent_in_s": status.spent_in_s,
        "firing": status.firing,
        "per_s": per_s,
        "series": _series(rows, begin_s, now_s, per_s),
        "bad_requests": f"{shlex.quote(f'bad={slo.name}')} {shlex.quote(f'service={service}')}",
    }


def _series(rows: list[SLOCount], begin_s: int, end_s: int, per_s: int) -> list[dict[str, int]]:
    """Return an entry for each bar, also for bars without requests."""
    found = {row.start_s // per_s * per_s: row for row in rows}
    return [
        {
            "start_s": start,
            "good": found[start].good if start in found else 0,
            "bad": found[start].bad if start in found else 0,
        }
        for start in range(begin_s, end_s + 1, per_s)
    ]
