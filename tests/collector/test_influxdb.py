"""`influxdb.yaml` on a real InfluxDB 2.7, asked in InfluxQL and Flux."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.backends.traffic import Traffic, eventually

if TYPE_CHECKING:
    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

TOTAL = """
    SELECT sum(c) AS total FROM (SELECT last("count") AS c FROM "http.server.request.duration" GROUP BY *)
"""
AVERAGE_OF_POST = """
    SELECT sum(s) / sum(c) AS average FROM (
        SELECT last("sum") AS s, last("count") AS c FROM "http.server.request.duration"
        WHERE "http.request.method" = 'POST' GROUP BY *)
"""
ONE_REQUEST = """
    SELECT attributes FROM spans WHERE "flask.request_id" = 'r-10'
"""
SPANS = "SELECT count(duration_nano) AS count FROM spans"
AVERAGE_OF_POST_FLUX = """
    from(bucket: "chest") |> range(start: -1h)
        |> filter(fn: (r) => r._measurement == "http.server.request.duration" and r["http.request.method"] == "POST")
        |> filter(fn: (r) => r._field == "sum" or r._field == "count")
        |> last() |> group(columns: ["_field"]) |> sum()
        |> group() |> pivot(rowKey: [], columnKey: ["_field"], valueColumn: "_value")
        |> map(fn: (r) => ({average: r.sum / float(v: r["count"])}))
"""


def test_answers_what_was_served(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """The three questions, in InfluxQL, are answered with what two processes of an application served."""
    collector = start_collector("influxdb", env=influxdb.collector_env)
    with Traffic(collector.otlp_http) as first, Traffic(collector.otlp_http) as second:
        for number in range(30):
            first.request(f"r-{number}", {"cart_total": 1.5 * number, "user_id": f"u{number}"})
            second.request(f"s-{number}", method="GET", duration_s=0.004)
            second.request(f"t-{number}", duration_s=0.0625)
        first.flush()
        second.flush()

        eventually(lambda: [row["count"] for row in influxdb.influxql(SPANS)], [180])
        eventually(lambda: [row["total"] for row in influxdb.influxql(TOTAL)], [90])
        [average] = influxdb.influxql(AVERAGE_OF_POST)
        assert average["average"] == pytest.approx((30 * 0.0125 + 30 * 0.0625) / 60)
        [found] = influxdb.influxql(ONE_REQUEST)
        variables = json.loads(found["attributes"])
        assert variables["flask.g.cart_total"] == 15.0
        assert variables["flask.g.user_id"] == "u10"


def test_answers_in_flux(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Average response time of POST and the number of spans are the same in Flux."""
    collector = start_collector("influxdb", env=influxdb.collector_env)
    with Traffic(collector.otlp_http) as traffic:
        for number in range(20):
            traffic.request(f"r-{number}", duration_s=0.01 * (1 + number % 2))
            traffic.request(f"s-{number}", method="GET", duration_s=3.0)
        traffic.flush()
        eventually(lambda: [row["count"] for row in influxdb.influxql(SPANS)], [80])
        eventually(lambda: len(influxdb.flux(AVERAGE_OF_POST_FLUX)), 1)
        [row] = influxdb.flux(AVERAGE_OF_POST_FLUX)
        assert float(row["average"]) == pytest.approx(0.015)


def test_variables_are_metrics_too(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """A numeric variable has count, sum, minimum and maximum by route, under its own name."""
    collector = start_collector("influxdb", env=influxdb.collector_env)
    with Traffic(collector.otlp_http) as traffic:
        for number in range(1, 5):
            traffic.request(f"r-{number}", {"cart_total": float(number)}, route="/cart/<int:cart_id>")
        traffic.flush()
        query = """SELECT "count", "sum", "min", "max", "http.route" FROM "flask.g.cart_total" """
        eventually(
            lambda: [{k: v for k, v in row.items() if k != "time"} for row in influxdb.influxql(query)],
            [{"count": 4, "sum": 10, "min": 1, "max": 4, "http.route": "/cart/<int:cart_id>"}],
        )
