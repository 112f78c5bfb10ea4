"""The back ends for which files can be made of objectives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._slo import grafana, influxdb, openslo, prometheus, splunk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask_chest_otel.slo import SLO

__all__ = ["RUNBOOK", "TARGETS", "Rendering", "Target"]

RUNBOOK = "docs/how-to/objectives.md"
"""The page that has a section for each alert."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """The objectives of an application, and how to write them.

    Attributes:
        service: ``service.name`` of the application.
        slos: Its objectives.
        shorten: Divides every window and interval, to try out alerts in minutes.
        runbook: Address of the page that has a section for each alert.
        bucket: InfluxDB's bucket with the metrics.
        notify: HTTP address to which InfluxDB sends alerts; ``""``: it sends none.
        attributes: Name of each objective with ``by=`` to the metric attribute of that variable.
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
        what: A description of its files, for people.
        files: Makes the files: name to text.
        options: Attributes of ``Rendering`` that it uses, beside those that all do.
    """

    what: str
    files: Callable[[Rendering], Mapping[str, str]]
    options: frozenset[str] = frozenset()


TARGETS: dict[str, Target] = {
    "prometheus": Target("recording rules and alerts", prometheus.files, frozenset({"runbook", "shorten"})),
    "influxdb": Target(
        "a template for InfluxDB 2: a task, checks, and a rule that notifies",
        influxdb.files,
        frozenset({"shorten", "bucket", "notify"}),
    ),
    "splunk": Target(
        "a detector in SignalFlow, and bodies for the API of Splunk Observability Cloud",
        splunk.files,
        frozenset({"runbook"}),
    ),
    "openslo": Target("documents of OpenSLO v1", openslo.files),
    "grafana": Target("a dashboard of Grafana, over the rules for Prometheus", grafana.files),
}
"""Back end by name."""
