"""Panels and dashboards as Grafana reads them, without what it fills in by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["COUNT", "RATE", "SECONDS", "SHARE", "Json", "dashboard", "panel", "textbox", "variable"]

Json = dict[str, Any]

SECONDS = {"unit": "s"}
COUNT = {"unit": "short", "decimals": 0}
SHARE = {"unit": "percentunit"}
RATE = {"unit": "reqps"}

COLUMNS = 24
"""Width of Grafana's grid."""

_UNITS: Mapping[str, Json] = {
    "transactions": COUNT,
    "rate": RATE,
    "error ratio": SHARE,
    "average": SECONDS,
    "p95": SECONDS,
    "p99": SECONDS,
    "duration": {"unit": "ns"},
}
"""Of the columns of tables, by their names."""


def panel(
    kind: str,
    title: str,
    targets: Sequence[Mapping[str, Any]],
    *,
    size: tuple[int, int],
    unit: Mapping[str, Any] | None = None,
    about: str = "",
    transformations: Sequence[Mapping[str, Any]] = (),
    columns: Sequence[str] = (),
) -> Json:
    """One panel; ``size`` is its width and height in the grid, ``columns`` those of a table that have a unit."""
    options: Json = {"legend": {"displayMode": "list", "placement": "bottom"}} if kind == "timeseries" else {}
    if kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    overrides = [
        {
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": key, "value": value} for key, value in _UNITS[name].items()],
        }
        for name in columns
    ]
    found: Json = {
        "type": kind,
        "title": title,
        "description": about,
        "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {"defaults": dict(unit or {}), "overrides": overrides},
        "options": options,
        "targets": [{"refId": chr(ord("A") + at), **target} for at, target in enumerate(targets)],
    }
    if transformations:
        found["transformations"] = list(transformations)
    return found


def variable(name: str, label: str, query: Any, *, regex: str = "", hide: bool = False, many: bool = False) -> Json:
    """A variable whose values the data source knows; ``many`` of them may be chosen, at first all."""
    found = {"type": "query", "name": name, "label": label, "query": query, "regex": regex, "refresh": 2, "sort": 1}
    every = {"multi": True, "includeAll": True, "current": {"text": "All", "value": "$__all"}} if many else {}
    return {**found, "hide": 2 if hide else 0, **every}


def textbox(name: str, label: str) -> Json:
    """A variable that somebody types."""
    return {"type": "textbox", "name": name, "label": label, "query": "", "current": {"text": "", "value": ""}}


def dashboard(uid: str, title: str, source: str, panels: Sequence[Json], variables: Sequence[Json]) -> Json:
    """A dashboard whose panels and variables all ask one data source, laid out line by line.

    ``source`` is the kind of the data source, with what tells it from others of its kind behind a hyphen.
    """
    datasource = {"type": source.partition("-")[0], "uid": f"flask-chest-{source}"}
    for number, one in enumerate(_laid_out(panels), 1):
        one |= {"id": number, "datasource": datasource}
        for target in one["targets"]:
            target["datasource"] = datasource
    for one in variables:
        if one["type"] == "query":
            one["datasource"] = datasource
    return {
        "uid": uid,
        "title": title,
        "tags": ["flask-chest"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": list(variables)},
        "panels": list(panels),
    }


def _laid_out(panels: Sequence[Json]) -> Sequence[Json]:
    x = y = height = 0
    for one in panels:
        place = one["gridPos"]
        if x + place["w"] > COLUMNS:
            x, y, height = 0, y + height, 0
        place |= {"x": x, "y": y}
        x, height = x + place["w"], max(height, place["h"])
    return panels
