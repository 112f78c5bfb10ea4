"""Calculates from the store's counts how much of each error budget is left, and how fast it burns."""

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
"""Length of the window of the present burn rate, seconds."""


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
        """Good and bad requests together."""
        return self.good + self.bad

    @property
    def bad_share(self) -> float:
        """Share of bad requests, 0 to 1; 0 without requests."""
        return self.bad / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one objective at one time.

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
        """Part of the budget that is left: 1 is all of it, 0 is nothing, below 0 more was spent than there was."""
        return 1 - self.whole.bad_share / self.slo.budget

    def burn(self, window_s: int = NOW_S) -> float:
        """Return the burn rate in a window (seconds); at 1, the budget lasts exactly the objective's days."""
        return self.counts[window_s].bad_share / self.slo.budget

    @property
    def spent_in_s(self) -> float | None:
        """Seconds until the budget is spent at the present burn rate; 0: it is spent; ``None``: none burns."""
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
    """Calculate the state of an application's objectives.

    Args:
        reader: The store.
        slos: The objectives.
        service: The application's name.
        now_s: The end of all windows, seconds since 1970 UTC.
    """
    slos = tuple(slos)
    windows = sorted({*WINDOWS_S, *(slo.window_days * DAY_S for slo in slos)})
    counted: dict[str, dict[int, Counts]] = defaultdict(lambda: dict.fromkeys(windows, Counts()))
    for window_s in windows:
        for row in reader.slo_counts(now_s - window_s, now_s, service=service):
            counted[row.name][window_s] = Counts(row.good, row.bad)
    return [Status(slo, counted[slo.name]) for slo in slos]
