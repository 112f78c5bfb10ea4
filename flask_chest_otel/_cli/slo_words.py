"""Writes objectives, their states and suggestions for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from flask_chest_otel._cli.output import MISSING, safe, whole
from flask_chest_otel._slo.burn import WINDOWS_S, window_name
from flask_chest_otel._slo.suggest import LADDER, LEAST_BUDGET, SHARE_SPENT

if TYPE_CHECKING:
    from flask_chest_otel._slo.status import Status
    from flask_chest_otel._slo.suggest import Choice, Suggestion
    from flask_chest_otel.slo import SLO

__all__ = ["arithmetic", "bad_in_words", "objective_object", "status_object", "status_row", "suggestion_object"]


def objective_object(slo: SLO) -> dict[str, object]:
    """Return an objective as JSON values."""
    return {
        "name": slo.name,
        "objective": slo.objective,
        "window_days": slo.window_days,
        "routes": list(slo.routes),
        "methods": list(slo.methods),
        "by": slo.by,
        "min_requests": slo.min_requests,
        "bad": bad_in_words(slo),
    }


def bad_in_words(slo: SLO) -> str:
    """Say what makes a request bad, such as ``5xx, slower than 0.3 s, outcome=declined``."""
    values = [f"{name}={value}" for name, listed in (slo.bad_when or {}).items() for value in listed]
    slow = [] if slo.latency_s is None else [f"slower than {slo.latency_s:g} s"]
    return ", ".join([*str(slo.bad_status).split(","), *slow, *values, *["good() says no"] * (slo.good is not None)])


def status_object(one: Status) -> dict[str, object]:
    """Return the state of an objective as JSON values."""
    return {
        "name": one.slo.name,
        "objective": one.slo.objective,
        "window_days": one.slo.window_days,
        "good": one.whole.good,
        "bad": one.whole.bad,
        "budget_left": one.budget_left,
        "spent_in_s": one.spent_in_s,
        "burn_rates": {window_name(window_s): one.burn(window_s) for window_s in WINDOWS_S},
        "firing": one.firing,
    }


def status_row(one: Status) -> tuple[str, ...]:
    """Return the state of an objective as cells: name, good, of how many, wanted, left, burn rate, spent in."""
    good = f"{100 * (1 - one.whole.bad_share):.4g} %" if one.whole.total else MISSING
    wanted = f"{one.slo.objective:g} %"
    left, burn = f"{100 * one.budget_left:.0f} %", f"{one.burn():.3g}"
    return safe(one.slo.name), good, str(one.whole.total), wanted, left, burn, _spent(one.spent_in_s)


def _spent(spent_in_s: float | None) -> str:
    if spent_in_s is None:
        return MISSING
    return _days(spent_in_s / 86400) if spent_in_s else "spent"


def suggestion_object(one: Suggestion) -> dict[str, object]:
    """Return a suggestion as JSON values."""
    found = asdict(one)
    found["choice"] = None if one.choice is None else one.choice._asdict()
    return found | {"code": _code(one)}


def arithmetic(one: Suggestion) -> list[str]:
    """Return the lines that explain a suggestion, and as the last one its line of Python."""
    where = f"{whole(one.method)} {whole(one.route)}"
    lines = [
        f"{where}: {one.requests} requests in {_days(one.days)}",
        f"failed (5xx): {one.failed} / {one.requests} = {_percent(one.failed / one.requests)}",
    ]
    if one.choice is None:
        return [*lines, _why_none(one)]
    return [*lines, *_of_choice(one, one.choice), str(_code(one))]


def _of_choice(one: Suggestion, choice: Choice) -> list[str]:
    budget = 1 - choice.objective / 100
    spent = (one.failed + choice.slow) / (one.requests * budget)
    sum_of = f"({one.failed} + {choice.slow}) / ({one.requests} * {_percent(budget)})"
    return [
        f"{choice.objective:g} %: a budget of {_percent(budget)}, {one.requests * budget:.1f} of these requests",
        f"slower than {choice.latency_ms:g} ms, and not failed: {choice.slow}",
        f"spent: {sum_of} = {100 * spent:.0f} % of the budget",
    ]


def _why_none(one: Suggestion) -> str:
    budget = 1 - LADDER[-1] / 100
    if one.requests * budget < LEAST_BUDGET:
        return (
            f"too few: of {LEAST_BUDGET / budget:.0f} requests or more, {LADDER[-1]:g} % could be told. Take several "
            f"routes together, routes=['/cart/*'], or wait"
        )
    return f"too many failed: even {LADDER[-1]:g} % would have less than {SHARE_SPENT:.0%} of its budget left"


def _code(one: Suggestion) -> str | None:
    if one.choice is None:
        return None
    name, route, method = map(json.dumps, (one.choice.name, one.route, one.method))
    which = f"routes=[{route}], methods=[{method}], latency_s={one.choice.latency_ms / 1000:g}"
    return f"SLO({name}, objective={one.choice.objective:g}, {which})"


def _days(days: float) -> str:
    for unit, length in (("days", 1.0), ("hours", 1 / 24)):
        if days >= length:
            return f"{days / length:.1f} {unit}"
    return f"{days * 1440:.1f} minutes"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
