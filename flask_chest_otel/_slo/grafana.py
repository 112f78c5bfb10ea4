"""Makes a Grafana dashboard of objectives. It shows what the rules of ``prometheus`` record."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from flask_chest_otel._slo.burn import ALERTS, window_name
from flask_chest_otel._slo.prometheus import BUDGET, COUNTER, NAME, RATIO, RESULT, job_of
from flask_chest_otel._slo.words import dns_name, file_name, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel._slo.render import Rendering
    from flask_chest_otel.slo import SLO

__all__ = ["files"]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SHARE, TIMES, COUNT = "percentunit", "none", "short"

Panel = dict[str, object]


def files(rendering: Rendering) -> dict[str, str]:
    """Return one dashboard with a line of three panels for each objective."""
    panels = [_placed(panel, place) for place, panel in enumerate(_panels(rendering), 1)]
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    dashboard = {
        "uid": dns_name("flask-chest-slo", rendering.service, most=40),
        "title": f"Objectives: {rendering.service}",
        "tags": ["flask-chest"],
        "schemaVersion": 39,
        "time": {"from": "now-7d", "to": "now"},
        "refresh": "1m",
        "templating": {"list": [source]},
        "panels": panels,
    }
    return {file_name(rendering.service, "grafana.json"): json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"}


def _panels(rendering: Rendering) -> Iterator[Panel]:
    for slo in rendering.slos:
        chosen = f"{job_of(rendering.service)}, {NAME}={quoted(slo.name)}"
        yield from _of_one(slo, chosen, rendering.attributes.get(slo.name))


def _of_one(slo: SLO, chosen: str, by: str | None) -> Iterator[Panel]:
    name = f"{slo.name}: {slo.objective:g} % in {slo.window_days} days"
    left = _query("A", f"{BUDGET}{{{chosen}}}", slo.name)
    yield _panel("stat", f"{name}, budget left", SHARE, [{**left, "instant": True, "range": False}])
    windows = sorted({alert.long_s for alert in ALERTS.values()})
    burns = [
        _query(
            chr(65 + place),
            f"{RATIO}{window_name(window)}{{{chosen}}} / {slo.budget}",
            window_name(window),
        )
        for place, window in enumerate(windows)
    ]
    yield _panel("timeseries", f"{slo.name}: burn rate", TIMES, burns)
    labels = [RESULT, *([re.sub(r"[^a-zA-Z0-9_]", "_", by)] if by else [])]
    grown = f"sum by ({', '.join(labels)}) (increase({COUNTER}{{{chosen}}}[$__rate_interval]))"
    legend = " ".join(f"{{{{{label}}}}}" for label in labels)
    yield _panel("timeseries", f"{slo.name}: good and bad", COUNT, [_query("A", grown, legend)])


def _query(ref: str, expression: str, legend: str) -> Panel:
    return {"refId": ref, "datasource": SOURCE, "expr": expression, "legendFormat": legend, "range": True}


def _panel(kind: str, title: str, unit: str, targets: list[Panel]) -> Panel:
    defaults = {"unit": unit, "custom": {}}
    return {
        "type": kind,
        "title": title,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": targets,
    }


def _placed(panel: Panel, number: int) -> Panel:
    """Place a panel, counted from 1: three stand in a line, of 6, 9 and 9 of the 24 columns."""
    line, place = divmod(number - 1, 3)
    return {**panel, "id": number, "gridPos": {"w": (6, 9, 9)[place], "h": 8, "x": (0, 6, 15)[place], "y": line * 8}}
