"""``chest.add_metric``: the call of flask-cloudwatch-metric, on OpenTelemetry's instruments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel import FlaskChest, _guard, flask_chest
from flask_chest_otel._units import UNITS, ucum
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from tests.conftest import Rig


def test_in_the_words_of_the_predecessor(rig: Rig) -> None:
    """Name, value, unit and dimensions as they were written for CloudWatch; the SDK makes names lower case."""
    app = rig.plain()
    reporter = FlaskChest(app, **rig.providers)

    @app.get("/")
    def main() -> str:
        reporter.add_metric(metric_name="RequestCount", value=1, unit="Count", dimensions=[])
        reporter.add_metric("Latency", 0.25, unit="Seconds", dimensions=[{"Name": "Queue", "Value": "mail"}])
        return "ok"

    with capture(app) as records:
        for _ in range(2):
            app.test_client().get("/")
    (count,) = rig.points("requestcount")
    assert (count.value, dict(count.attributes)) == (2, {})
    (latency,) = rig.points("latency")
    assert (latency.count, latency.sum, dict(latency.attributes)) == (2, 0.5, {"Queue": "mail"})
    kept = [(one.metric, one.kind, one.value, one.unit) for one in records[0].metrics]
    assert kept == [("RequestCount", "counter", 1, "{count}"), ("Latency", "histogram", 0.25, "s")]


def test_outside_of_a_request(rig: Rig) -> None:
    """In an application context alone it works too; without one it does nothing."""
    app = rig.plain()
    chest = FlaskChest(app, **rig.providers)
    with app.app_context():
        chest.add_metric("Jobs", 3, dimensions={"Kind": "nightly"})
    assert [(point.value, dict(point.attributes)) for point in rig.points("jobs")] == [(3, {"Kind": "nightly"})]


@pytest.mark.guard_on
@pytest.mark.parametrize(
    ("name", "value", "unit", "dimensions"),
    [
        ("Bad", float("nan"), "Count", ()),
        ("Bad", -1, "Count", ()),
        ("Bad", "three", "Count", ()),
        ("1 bad name", 1, "Count", ()),
        ("Bad", 1, "Count", [{"Nam": "x"}]),
        ("Bad", 1, "Count", 7),
        ("Bad", 1, "ü", ()),
    ],
)
def test_nothing_is_raised(rig: Rig, name: str, value: Any, unit: str, dimensions: Any) -> None:
    """What cannot be recorded is counted, and the view goes on."""
    app = rig.plain()
    chest = FlaskChest(app, **rig.providers)

    @app.get("/")
    def view() -> str:
        chest.add_metric(name, value, unit, dimensions)
        return "ok"

    assert app.test_client().get("/").text == "ok"
    assert rig.points("bad") == []
    assert sum(_guard.counts.values()) == 1


def test_cardinality_and_destinations(rig: Rig) -> None:
    """Dimensions count towards the limit; a route's destinations are on its metrics."""
    app = rig.plain()
    chest = FlaskChest(app, cardinality_limit=3, **rig.providers)

    @app.get("/<number>")
    @flask_chest(chests=["influxdb"])
    def view(number: str) -> str:
        chest.add_metric("Seen", 1, dimensions={"Number": number})
        return "ok"

    for number in range(5):
        app.test_client().get(f"/{number}")
    found = sorted((str(dict(point.attributes)), point.value) for point in rig.points("seen"))
    assert found == [
        ("{'Number': '0', 'flask.chests': 'influxdb'}", 1),
        ("{'Number': '1', 'flask.chests': 'influxdb'}", 1),
        ("{'otel.metric.overflow': True}", 3),
    ]


def test_units() -> None:
    """Every unit of CloudWatch has its UCUM, none of which Prometheus takes for a ratio."""
    assert len(UNITS) == 27
    assert "1" not in UNITS.values()
    assert [ucum(unit) for unit in ("Megabits/Second", "Kilobytes", "Percent", None, "By")] == [
        "Mbit/s",
        "kBy",
        "%",
        "",
        "By",
    ]
