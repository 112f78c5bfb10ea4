"""Dashboards as Grafana asks them: the one place where its variables and macros are put into queries.

What Grafana does is done here by hand, for there is no Grafana: it replaces `$name`, `${name}` and
`${name:doublequote}` by the value of a variable; in Flux `v.timeRangeStart`, `v.timeRangeStop`, `v.windowPeriod` and
`v.defaultBucket` by literals; in PromQL `$__range`, `$__range_s`, `$__interval`, `$__interval_ms` and
`$__rate_interval` by durations. A question of `label_values(…)` or `metrics(…)` is one to Prometheus' HTTP interface.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tests.backends.collector import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.backends.influxdb2 import InfluxDB2
    from tests.backends.prometheus import Prometheus

DASHBOARDS = CONFIG / "deploy" / "grafana" / "dashboards"

Rows = list[dict[str, str]]


def dashboard_files() -> list[Path]:
    """Return all bundled dashboards."""
    return sorted(DASHBOARDS.rglob("*.json"))


def load(name: str) -> dict[str, Any]:
    """Return a dashboard by the name of its file."""
    document: dict[str, Any] = json.loads(next(DASHBOARDS.rglob(f"{name}.json")).read_text())
    return document


@dataclass
class Viewer:
    """Somebody who looks at a dashboard: a time range, and a choice for each variable.

    Attributes:
        start: Begin of the range, Unix time in whole seconds.
        stop: End of the range.
        interval_s: What Grafana makes of range and width: the distance of two points.
        choices: Values of variables.
    """

    start: int
    stop: int
    interval_s: int = 2
    choices: dict[str, str] = field(default_factory=dict)

    def interpolate(self, query: str) -> str:
        """Put variables and macros into a query.

        Raises:
            KeyError: It has a variable that nobody has chosen a value for.
        """
        text = query.replace("v.timeRangeStart", _time(self.start)).replace("v.timeRangeStop", _time(self.stop))
        text = text.replace("v.windowPeriod", f"{self.interval_s}s").replace("v.defaultBucket", '"chest"')
        length = self.stop - self.start
        values = {
            "__range": f"{length}s",
            "__range_s": str(length),
            "__interval": f"{self.interval_s}s",
            "__interval_ms": str(self.interval_s * 1000),
            "__rate_interval": f"{4 * self.interval_s}s",
            **self.choices,
        }

        def value(match: re.Match[str]) -> str:
            chosen = values[match["name"] or match["plain"]]
            return json.dumps(chosen) if match["format"] else chosen

        return re.sub(r"\$(?:\{(?P<name>\w+)(?P<format>:doublequote)?\}|(?P<plain>[a-zA-Z_]\w*))", value, text)

    def flux(self, server: InfluxDB2, query: str) -> Rows:
        """Ask InfluxDB; rows without the columns of the protocol."""
        rows = server.flux(self.interpolate(query))
        return [{key: value for key, value in row.items() if key not in ("", "result", "table")} for row in rows]

    def promql(self, server: Prometheus, target: dict[str, Any]) -> list[dict[str, Any]]:
        """Ask Prometheus, for the end of the range or over it; its series, `values` as pairs of time and number."""
        query = {"query": self.interpolate(target["expr"])}
        if target.get("instant"):
            found = server.api("query", query | {"time": str(self.stop)})
            return [series | {"values": [series["value"]]} for series in found["result"]]
        over = {"start": str(self.start + self.interval_s), "end": str(self.stop), "step": str(self.interval_s)}
        result: list[dict[str, Any]] = server.api("query_range", query | over)["result"]
        return result

    def promql_variable(self, server: Prometheus, variable: dict[str, Any]) -> list[str]:
        """Ask for the values of a variable."""
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)|metrics\((.+)\)", variable["query"])
        assert asked, variable["query"]
        if asked[3]:
            names = server.api("label/__name__/values", {})
            found = [name for name in names if re.search(asked[3], name)]
        else:
            found = server.api(f"label/{asked[2]}/values", {"match[]": asked[1]})
        pattern = variable["regex"].strip("/")
        matches = [re.search(pattern, name) for name in found] if pattern else []
        return [match[1] for match in matches if match] if pattern else found


def targets(dashboard: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every query of a dashboard's panels with a name that says where it stands."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"{panel['title']} {target['refId']}", target


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
