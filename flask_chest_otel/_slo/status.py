"""How objectives stand, by what the store has counted: what is left of a budget, and how fast it is spent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._slo.burn import ALERTS, WINDOWS_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel.slo import SLO

__all__ = ["NOW_S", "Counts", "Status", "statuses"]

DAY_S = 86400

NOW_S = 3600
"""How far back the present burn rate looks, seconds."""


class Counts(NamedTuple):
    """Requests of an objective in a window.

    Attributes:
        good: How many were good.
        bad: How many were bad.
    """

    good: int = 0
    bad: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.good + self.bad

    @property
    def bad_share(self) -> float:
        """Which share was bad; 0 where there was none."""
        return self.bad / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Status:
    """One objective at one time.

    Attributes:
        slo: The objective.
        counts: Its requests in its own window and in those of the alerts, by the window's length in seconds.
    """

    slo: SLO
    counts: Mapping[int, Counts]

    @property
    def whole(self) -> Counts:
        """Requests in the objective's own window."""
        return self.counts[self.slo.window_days * DAY_S]

    @property
    def budget_left(self) -> float:
        """1: nothing of the budget is spent; 0: all; below: more than there was."""
        return 1 - self.whole.bad_share / self.slo.budget

    def burn(self, window_s: int = NOW_S) -> float:
        """How many times as fast as it may the budget was spent in a window."""
        return self.counts[window_s].bad_share / self.slo.budget

    @property
    def spent_in_s(self) -> float | None:
        """After how many seconds at the present burn rate all is spent; 0: it is; ``None``: not at this rate."""
        if self.budget_left <= 0:
            return 0.0
        rate = self.burn()
        return self.budget_left * self.slo.window_days * DAY_S / rate if rate > 0 else None

    @property
    def firing(self) -> list[str]:
        """Names of the alerts whose conditions hold."""
        return [
            name
            for name, alert in ALERTS.items()
            if min(self.burn(alert.long_s), self.burn(alert.short_s)) > alert.burn
            and self.counts[alert.long_s].total >= self.slo.min_requests
        ]


def statuses(reader: StoreReader, slos: Iterable[SLO], service: str, now_s: float) -> list[Status]:
    """How the objectives of an application stand at a time, seconds since 1970 UTC."""
    slos = tuple(slos)
    windows = sorted({*WINDOWS_S, *(slo.window_days * DAY_S for slo in slos)})
    counted: dict[str, dict[int, Counts]] = defaultdict(lambda: dict.fromkeys(windows, Counts()))
    for window_s in windows:
        for row in reader.slo_counts(now_s - window_s, now_s, service=service):
            counted[row.name][window_s] = Counts(row.good, row.bad)
    return [Status(slo, counted[slo.name]) for slo in slos]
