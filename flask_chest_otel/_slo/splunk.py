"""Makes a SignalFlow program, a detector and SLOs for Splunk Observability Cloud of objectives.

The program only uses functions that SignalFlow has: ``data``, ``filter``, ``sum``, ``detect``, ``when``, ``threshold``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flask_chest_otel._slo.burn import ALERTS, window_name
from flask_chest_otel._slo.words import description, digits, file_name, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel._slo.render import Rendering
    from flask_chest_otel.slo import SLO, BurnAlert

__all__ = ["files"]

COUNTER = "flask_chest.slo.requests"
SEVERITIES = {"page": "Critical", "ticket": "Warning"}


def files(rendering: Rendering) -> dict[str, str]:
    """Return the program, the body of a detector with it, and the body of an SLO for each objective."""
    program = "\n".join(_program(rendering)) + "\n"
    found = {
        file_name(rendering.service, "signalflow"): program,
        file_name(rendering.service, "detector.json"): _json(_detector(rendering, program)),
    }
    for slo in rendering.slos:
        found[file_name(f"{rendering.service}.{slo.name}", "splunk-slo.json")] = _json(_objective(rendering, slo))
    return found


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _counted(rendering: Rendering, slo: SLO, result: str) -> str:
    """Return the SignalFlow stream of good or bad requests: the increase of the counter, summed over all series."""
    pairs = {"service.name": rendering.service, "flask_chest.slo.name": slo.name, "flask_chest.slo.result": result}
    chosen = " and ".join(f"filter({_text(name)}, {_text(value)})" for name, value in pairs.items())
    return f"data({_text(COUNTER)}, filter={chosen}, rollup='delta', extrapolation='zero').sum()"


def _text(value: str) -> str:
    """Quote a text for SignalFlow, which has the string syntax of Python."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _program(rendering: Rendering) -> Iterator[str]:
    yield "# Objectives of one application. Made by `flask chest slo render --target splunk`."
    for number, slo in enumerate(rendering.slos):
        good, bad = f"good_{number}", f"bad_{number}"
        yield f"\n# {slo.name}: {slo.objective:g} % good in {slo.window_days} days"
        yield f"{good} = {_counted(rendering, slo, 'good')}"
        yield f"{bad} = {_counted(rendering, slo, 'bad')}"
        for place, (name, alert) in enumerate(ALERTS.items()):
            yield from _alert(slo, f"{number}_{place}", name, alert)


def _alert(slo: SLO, end: str, name: str, alert: BurnAlert) -> Iterator[str]:
    good, bad = (f"{result}_{end.partition('_')[0]}" for result in ("good", "bad"))
    most, conditions = digits(alert.burn * slo.budget), []
    for window, seconds in (("long", alert.long_s), ("short", alert.short_s)):
        over = _text(window_name(seconds))
        yield f"{window}_bad_{end} = {bad}.sum(over={over})"
        yield f"{window}_all_{end} = {window}_bad_{end} + {good}.sum(over={over})"
        conditions.append(f"when({window}_bad_{end} / {window}_all_{end} > threshold({most}))")
    conditions.append(f"when(long_all_{end} >= threshold({slo.min_requests}))")
    yield f"detect({' and '.join(conditions)}).publish({_text(_label(slo, name))})"


def _label(slo: SLO, name: str) -> str:
    return f"{slo.name}: {name}"


def _detector(rendering: Rendering, program: str) -> dict[str, object]:
    """Return the body for ``POST /v2/detector``."""
    return {
        "name": f"Objectives of {rendering.service}",
        "description": "Made by `flask chest slo render --target splunk`.",
        "programText": program,
        "rules": [
            {
                "detectLabel": _label(slo, name),
                "severity": SEVERITIES[alert.severity],
                "description": f"{summary(slo, alert)}. {description(slo, alert)}",
                "runbookUrl": f"{rendering.runbook}#{name.lower()}",
                "notifications": [],
            }
            for slo in rendering.slos
            for name, alert in ALERTS.items()
        ],
    }


def _objective(rendering: Rendering, slo: SLO) -> dict[str, object]:
    """Return the body for ``POST /v2/slo``. Its one alert rule holds the windows of both alerts that page somebody."""
    program = (
        f"G = {_counted(rendering, slo, 'good')}\n"
        f"B = {_counted(rendering, slo, 'bad')}\n"
        "G.publish('good')\n(G + B).publish('all')\n"
    )
    first, second = (alert for alert in ALERTS.values() if alert.severity == "page")
    parameters = {
        "shortWindow1": window_name(first.short_s),
        "longWindow1": window_name(first.long_s),
        "shortWindow2": window_name(second.short_s),
        "longWindow2": window_name(second.long_s),
        "burnRateThreshold1": first.burn,
        "burnRateThreshold2": second.burn,
    }
    rule = {
        "severity": SEVERITIES["page"],
        "description": summary(slo, first),
        "parameters": parameters,
        "notifications": [],
    }
    target = {
        "type": "RollingWindow",
        "slo": slo.objective,
        "compliancePeriod": f"{slo.window_days}d",
        "sloAlertRules": [{"type": "BURN_RATE", "rules": [rule]}],
    }
    return {
        "name": f"{rendering.service}: {slo.name}",
        "type": "RequestBased",
        "inputs": {"programText": program, "goodEventsLabel": "good", "totalEventsLabel": "all"},
        "targets": [target],
    }
