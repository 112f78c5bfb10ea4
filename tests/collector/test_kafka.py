"""`kafka.yaml` and `kafka_consumer.yaml`: through a real Kafka to a second collector and into InfluxDB."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.backends.kafka import Kafka
from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import require_built, require_installed
from tests.backends.traffic import Traffic, eventually
from tests.collector.test_influxdb import AVERAGE_OF_POST, ONE_REQUEST, SPANS, TOTAL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real


def test_through_a_broker_that_was_down(start_collector: StartCollector, influxdb: InfluxDB2, tmp_path: Path) -> None:
    """InfluxDB behind a second collector answers what was served, through an outage and two kill -9.

    The broker is down at first, the first collector is killed meanwhile and the second one while it reads.
    """
    require_installed("java", "default-jre-headless")
    require_built("kafka")
    kafka = Kafka(tmp_path / "kafka")
    first = start_collector("kafka", env={**kafka.collector_env, "CHEST_KAFKA_CHESTS": "kafka|influxdb"})
    with Traffic(first.otlp_http) as traffic:
        for number in range(500):
            traffic.request(f"r-{number}", {"cart_total": 1.5 * number}, duration_s=0.01 * (1 + number % 2))
            traffic.request(f"s-{number}", method="GET", duration_s=3.0)
        for chests in ("influxdb", "kafka", "file"):
            traffic.request(f"for {chests}", method="GET", chests=chests)
        traffic.flush()
        first.kill9()
        first.start()
        traffic.request("later", duration_s=0.015)
        traffic.flush()
        # A message of the largest batch would be refused: it is cut to what a broker takes.
        assert post(first.otlp_http, "traces", trace_request(100, {"flask.g.text": "x" * 50_000})) == 200
        with kafka:
            second = start_collector(
                "influxdb", "kafka_consumer", env={**kafka.collector_env, **influxdb.collector_env}
            )
            eventually(lambda: bool(influxdb.influxql(SPANS)), expected=True, within_s=40)
            second.kill9()
            second.start()
            # Two spans for each of 1001 and of the one for InfluxDB: what names Kafka alone ends there.
            eventually(lambda: [row["count"] for row in influxdb.influxql(SPANS)], [2004 + 100], within_s=40)
            eventually(lambda: [row["total"] for row in influxdb.influxql(TOTAL)], [1004])
            [average] = influxdb.influxql(AVERAGE_OF_POST)
            assert average["average"] == pytest.approx(0.015)
            [found] = influxdb.influxql(ONE_REQUEST)
            assert json.loads(found["attributes"])["flask.g.cart_total"] == 15.0
            second.stop()
            # Without the broker it would wait for it.
            first.stop()
