"""Checks of objectives that need the application or the store: routes that do not exist, requests that never came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._slo.burn import WINDOWS_S, window_name
from flask_chest_otel.errors import nearest
from flask_chest_otel.slo import covers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from flask_chest_otel._slo.status import Status
    from flask_chest_otel.slo import SLO

__all__ = ["Route", "problems_of_routes", "problems_of_traffic"]

Route = tuple[str, "Collection[str]"]
"""A URL rule, and the methods that it takes."""

LONGEST_S = WINDOWS_S[-1]
"""The longest window of an alert, seconds."""

_IMPLIED = {"HEAD", "OPTIONS"}


def problems_of_routes(slos: Iterable[SLO], routes: Collection[Route]) -> Iterator[str]:
    """Yield a sentence for each pattern that fits no route, and for each method that none of its routes takes."""
    rules = [rule for rule, _ in routes]
    for slo in slos:
        known = [pattern for pattern in slo.routes if pattern == "*" or any(covers(pattern, rule) for rule in rules)]
        for pattern in slo.routes:
            if pattern not in known:
                guess = nearest(pattern, rules)
                hint = f"did you mean {guess!r}?" if guess else "type one of those that flask routes shows"
                yield f"{slo.name}: no route of the application is {pattern!r}: {hint}"
        if known and known != ["*"]:
            yield from _missing_methods(slo, routes)


def _missing_methods(slo: SLO, routes: Collection[Route]) -> Iterator[str]:
    meant = (methods for rule, methods in routes if any(covers(pattern, rule) for pattern in slo.routes))
    taken = {method for methods in meant for method in methods}
    for method in slo.methods:
        if method not in taken:
            takes = ", ".join(sorted(taken - _IMPLIED))
            yield f"{slo.name}: its routes do not take {method}: type methods=[…] with some of {takes}"


def problems_of_traffic(statuses: Iterable[Status]) -> Iterator[str]:
    """Yield a sentence for each objective without requests, or with so few that no alert can fire."""
    for status in statuses:
        slo = status.slo
        if not status.whole.total:
            yield (
                f"{slo.name}: the store has no request of it in {slo.window_days} days: serve some, or look whether "
                "its routes and methods are right: flask chest slo list"
            )
        elif status.counts[LONGEST_S].total < slo.min_requests:
            yield (
                f"{slo.name}: {status.counts[LONGEST_S].total} requests in {window_name(LONGEST_S)} are too few for "
                f"any alert, which wants {slo.min_requests}: take more routes together, or type a lower min_requests="
            )
