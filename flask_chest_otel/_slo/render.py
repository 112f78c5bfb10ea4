"""What objectives become for each back end: files, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._slo import grafana, influxdb, openslo, prometheus, splunk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask_chest_otel.slo import SLO

__all__ = ["RUNBOOK", "TARGETS", "Rendering", "Target"]

RUNBOOK = "docs/how-to/objectives.md"
"""The page that has an entry for each alert."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """What is asked for.

    Attributes:
        service: The application's name, as its telemetry has it: ``service.name``.
        slos: Its objectives.
        shorten: Every window and interval is divided by this, for trying out.
        runbook: Where the page stands that has an entry for each alert.
        bucket: InfluxDB's bucket, which the metrics are in.
        notify: Where InfluxDB sends what it finds, an address; ``""``: nowhere.
        attributes: Name of each objective that has ``by`` to the metric attribute of that variable.
    """

    service: str
    slos: Sequence[SLO]
    shorten: int = 1
    runbook: str = RUNBOOK
    bucket: str = "chest"
    notify: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


class Target(NamedTuple):
    """A back end.

    Attributes:
        what: What is made for it, in words.
        files: Makes that: names of files, each with its text.
    """

    what: str
    files: Callable[[Rendering], Mapping[str, str]]


TARGETS: dict[str, Target] = {
    "prometheus": Target("recording rules and alerts", prometheus.files),
    "influxdb": Target("a template for InfluxDB 2: a task, checks, and a rule that notifies", influxdb.files),
    "splunk": Target("a detector in SignalFlow, and bodies for the API of Splunk Observability Cloud", splunk.files),
    "openslo": Target("documents of OpenSLO v1", openslo.files),
    "grafana": Target("a dashboard of Grafana, over the rules for Prometheus", grafana.files),
}
"""Back end by name."""
