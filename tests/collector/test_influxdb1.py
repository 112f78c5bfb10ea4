"""`influxdb1.yaml` on a real InfluxDB 1.x, asked in InfluxQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.backends.influxdb1 import InfluxDB1
from tests.backends.require import require_installed
from tests.backends.traffic import Traffic, eventually
from tests.collector.test_influxdb import AVERAGE_OF_POST, ONE_REQUEST, SPANS, TOTAL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real


def test_answers_what_was_served_through_an_outage(start_collector: StartCollector, tmp_path: Path) -> None:
    """The three questions are answered right although the server was down and the collector killed meanwhile."""
    require_installed("influxd", "influxdb")
    with InfluxDB1(tmp_path / "influxdb1") as server:
        collector = start_collector("influxdb1", env=server.collector_env)
        server.stop()
        with Traffic(collector.otlp_http) as traffic:
            for number in range(500):
                traffic.request(f"r-{number}", {"cart_total": 1.5 * number}, duration_s=0.01 * (1 + number % 2))
                traffic.request(f"s-{number}", method="GET", duration_s=3.0)
            traffic.request("elsewhere", chests="influxdb", method="GET")
            traffic.flush()
            collector.kill9()
            collector.start()
            for number in range(100):
                traffic.request(f"t-{number}", duration_s=0.015)
            traffic.flush()
            server.start()
            eventually(lambda: [row["count"] for row in server.influxql(SPANS)], [2200], within_s=40)
            eventually(lambda: [row["total"] for row in server.influxql(TOTAL)], [1101])
            [average] = server.influxql(AVERAGE_OF_POST)
            assert average["average"] == pytest.approx(0.015)
            [found] = server.influxql(ONE_REQUEST)
            assert json.loads(found["attributes"])["flask.g.cart_total"] == 15.0
