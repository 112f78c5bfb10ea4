"""What ``flask chest slo`` says of objectives, to people and to programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flask_chest_otel._cli.output import whole
from flask_chest_otel._slo.suggest import LADDER, LEAST_BUDGET, SHARE_SPENT, WINDOW_DAYS

if TYPE_CHECKING:
    from flask_chest_otel._slo.suggest import Choice, Suggestion
    from flask_chest_otel.slo import SLO

__all__ = ["arithmetic", "bad_in_words", "objective_object", "suggestion_object"]


def objective_object(slo: SLO) -> dict[str, Any]:
    """An objective for programs."""
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
    """What makes a request bad: ``5xx, slower than 0.3 s, outcome=declined``."""
    values = [f"{name}={value}" for name, listed in (slo.bad_when or {}).items() for value in listed]
    slow = [] if slo.latency_s is None else [f"slower than {slo.latency_s:g} s"]
    return ", ".join([*str(slo.bad_status).split(","), *slow, *values, *["good() says no"] * (slo.good is not None)])


def suggestion_object(one: Suggestion) -> dict[str, Any]:
    """A suggestion for programs."""
    found = asdict(one)
    found["choice"] = None if one.choice is None else one.choice._asdict()
    return found | {"in_window": one.in_window, "window_days": WINDOW_DAYS, "code": _code(one)}


def arithmetic(one: Suggestion) -> list[str]:
    """The lines that lead to a suggestion, and the line of Python."""
    where = f"{whole(one.method)} {whole(one.route)}"
    lines = [
        f"{where}: {one.requests} requests in {_days(one.days)}, {one.in_window:.0f} in {WINDOW_DAYS} days at that pace",
        f"failed (5xx): {one.failed} / {one.requests} = {_percent(one.failed / one.requests)}",
    ]
    if one.choice is None:
        return [*lines, _why_none(one)]
    return [*lines, *_of_choice(one, one.choice), str(_code(one))]


def _of_choice(one: Suggestion, choice: Choice) -> list[str]:
    budget = 1 - choice.objective / 100
    bad = one.failed + choice.slow
    return [
        f"{choice.objective:g} %: a budget of {_percent(budget)}, {one.in_window * budget:.0f} requests in "
        f"{WINDOW_DAYS} days",
        f"slower than {choice.latency_ms:g} ms, and not failed: {choice.slow}",
        f"spent: ({one.failed} + {choice.slow}) / ({one.requests} * {_percent(budget)}) = "
        f"{100 * bad / (one.requests * budget):.0f} % of the budget",
    ]


def _why_none(one: Suggestion) -> str:
    last = 1 - LADDER[-1] / 100
    if one.in_window * last < LEAST_BUDGET:
        return (
            f"too few: even of {LADDER[-1]:g} % the budget is {one.in_window * last:.1f} requests, and one failure "
            f"more than 1/{LEAST_BUDGET} of it. Take several routes together: routes=['/cart/*']"
        )
    return f"too many failed: even {LADDER[-1]:g} % would have less than {SHARE_SPENT:.0%} of its budget left"


def _code(one: Suggestion) -> str | None:
    if one.choice is None:
        return None
    choice, where = one.choice, f"routes=[{json.dumps(one.route)}], methods=[{json.dumps(one.method)}]"
    return f"SLO({json.dumps(choice.name)}, objective={choice.objective:g}, {where}, latency_s={choice.latency_ms / 1000:g})"


def _days(days: float) -> str:
    return f"{days:.1f} days" if days >= 1 else f"{days * 24:.1f} hours"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
