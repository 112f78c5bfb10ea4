"""The Grafana dashboards of ``collector-config/deploy/grafana``: written by ``make docs``.

``_flux``, ``_promql`` and ``_collector`` are the queries, ``_grafana`` is what stands around them. A dashboard of many
panels repeats its query in each; here it is written once. ``tests/collector`` asks every query of every file.
"""

from __future__ import annotations

import json
from pathlib import Path

from tools.dashboards import _collector, _flux, _promql

__all__ = ["FOLDER", "files"]

FOLDER = Path(__file__).resolve().parents[2] / "collector-config" / "deploy" / "grafana" / "dashboards"


def files() -> dict[Path, str]:
    """Path to what should stand there."""
    dashboards = {
        "influxdb": [_flux.indicators(), _flux.one_request()],
        "prometheus": [_promql.indicators(), _collector.collector()],
    }
    return {
        FOLDER / source / f"{dashboard['uid']}.json": json.dumps(dashboard, indent=2) + "\n"
        for source, of_source in dashboards.items()
        for dashboard in of_source
    }
