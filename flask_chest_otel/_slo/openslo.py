"""Makes OpenSLO documents (version 1) of objectives, for programs that do not know this package.

The format: https://github.com/OpenSLO/OpenSLO
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._slo.burn import ALERTS, window_name
from flask_chest_otel._slo.prometheus import COUNTER, NAME, RESULT, job_of
from flask_chest_otel._slo.words import description, dns_name, file_name, quoted, summary, yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel._slo.render import Rendering
    from flask_chest_otel.slo import SLO, BurnAlert

__all__ = ["files"]

API = "openslo/v1"


def files(rendering: Rendering) -> dict[str, str]:
    """Return one file with the service, and for each objective an ``SLO`` and four ``AlertPolicy`` documents."""
    documents = [_service(rendering), *(one for slo in rendering.slos for one in _documents(rendering, slo))]
    head = "# Objectives of one application. Made by `flask chest slo render --target openslo`.\n"
    return {file_name(rendering.service, "openslo.yaml"): head + "---\n".join(map(yaml, documents))}


def _service(rendering: Rendering) -> dict[str, object]:
    return _document("Service", dns_name(rendering.service), rendering.service, {"description": rendering.service})


def _documents(rendering: Rendering, slo: SLO) -> Iterator[dict[str, object]]:
    policies = {name: dns_name(rendering.service, slo.name, name) for name in ALERTS}
    yield _document(
        "SLO", dns_name(rendering.service, slo.name), slo.name, _objective(rendering, slo, [*policies.values()])
    )
    for name, alert in ALERTS.items():
        yield _document("AlertPolicy", policies[name], f"{slo.name}: {name}", _policy(rendering, slo, name, alert))


def _document(kind: str, name: str, shown: str, spec: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "displayName": shown[:63]}, "spec": spec}


def _objective(rendering: Rendering, slo: SLO, policies: list[str]) -> dict[str, object]:
    name = dns_name(rendering.service, slo.name, "good")
    ratio = {"counter": True, "good": _source(rendering, slo, "good"), "total": _source(rendering, slo, None)}
    return {
        "description": f"{slo.objective:g} % of the requests are good in {slo.window_days} days",
        "service": dns_name(rendering.service),
        "indicator": {"metadata": {"name": name}, "spec": {"ratioMetric": ratio}},
        "timeWindow": [{"duration": f"{slo.window_days}d", "isRolling": True}],
        "budgetingMethod": "Occurrences",
        "objectives": [{"displayName": slo.name[:63], "target": round(slo.objective / 100, 12)}],
        "alertPolicies": policies,
    }


def _source(rendering: Rendering, slo: SLO, result: str | None) -> dict[str, object]:
    """Return a query of the counter of requests, in PromQL."""
    chosen = [job_of(rendering.service), f"{NAME}={quoted(slo.name)}"]
    chosen += [f'{RESULT}="{result}"'] if result else []
    query = f"sum({COUNTER}{{{', '.join(chosen)}}})"
    return {"metricSource": {"type": "Prometheus", "spec": {"query": query}}}


def _policy(rendering: Rendering, slo: SLO, name: str, alert: BurnAlert) -> dict[str, object]:
    """Return an alert. OpenSLO has one window per burn rate, so the shorter window is only in the description."""
    condition = {
        "kind": "burnrate",
        "op": "gt",
        "threshold": alert.burn,
        "lookbackWindow": window_name(alert.long_s),
        "alertAfter": "0m",
    }
    return {
        "description": summary(slo, alert),
        "alertWhenBreaching": True,
        "alertWhenResolved": True,
        "alertWhenNoData": False,
        "conditions": [
            {
                "kind": "AlertCondition",
                "metadata": {"name": dns_name(rendering.service, slo.name, name, "burn")},
                "spec": {"description": description(slo, alert), "severity": alert.severity, "condition": condition},
            }
        ],
        "notificationTargets": [{"targetRef": dns_name("on-call", alert.severity)}],
    }
