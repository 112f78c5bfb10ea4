"""`influxdb1.yaml` on a real InfluxDB 1.x, asked in InfluxQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.backends.influxdb1 import InfluxDB1
from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import require_installed
from tests.backends.traffic import Traffic, eventually, serve_through_an_outage
from tests.collector.test_influxdb import AVERAGE_OF_POST, ONE_REQUEST, SPANS, TOTAL

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real


def test_answers_what_was_served_through_an_outage(start_collector: StartCollector, tmp_path: Path) -> None:
    """The three questions are answered right although the server was down and the collector killed meanwhile."""
    require_installed("influxd", "influxdb")
    with InfluxDB1(tmp_path / "influxdb1") as server:
        collector = start_collector("influxdb1", env=server.collector_env)
        with Traffic(collector.otlp_http) as traffic:
            serve_through_an_outage(traffic, collector, server)
            eventually(lambda: [row["count"] for row in server.influxql(SPANS)], [2200], within_s=40)
            eventually(lambda: [row["total"] for row in server.influxql(TOTAL)], [1101])
            [average] = server.influxql(AVERAGE_OF_POST)
            assert average["average"] == pytest.approx(0.015)
            [found] = server.influxql(ONE_REQUEST)
            assert json.loads(found["attributes"])["flask.g.cart_total"] == 15.0


def test_what_the_sdk_has_cut_arrives(start_collector: StartCollector, tmp_path: Path) -> None:
    """A span and an event that lack attributes are there: the exporter writes without a sign how many."""

    def cut(span: Any, number: int) -> None:
        if number == 1:
            span.dropped_attributes_count = span.dropped_events_count = span.dropped_links_count = 2
        if number == 2:
            event = span.events.add()
            event.name, event.dropped_attributes_count = "late", 1

    require_installed("influxd", "influxdb")
    with InfluxDB1(tmp_path / "influxdb1") as server:
        collector = start_collector("influxdb1", env=server.collector_env)
        assert post(collector.otlp_http, "traces", trace_request(4, change=cut)) == 200
        eventually(lambda: [row["count"] for row in server.influxql(SPANS)], [4])
