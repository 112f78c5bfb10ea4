"""`splunk.yaml` on a stand-in for Splunk's ingest that decodes what arrives; together with InfluxDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backends.splunk import TOKEN, SplunkIngest
from tests.backends.traffic import DURATION, Traffic, eventually

if TYPE_CHECKING:
    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real


def env(splunk: SplunkIngest) -> dict[str, str]:
    return {"SPLUNK_INGEST_URL": splunk.url, "SPLUNK_API_URL": splunk.url, "SPLUNK_ACCESS_TOKEN": TOKEN}


def test_answers_what_was_served(start_collector: StartCollector) -> None:
    """Transactions, average response time of POST and one request's variables are in what Splunk was sent."""
    with SplunkIngest() as splunk:
        collector = start_collector("splunk", env=env(splunk))
        with Traffic(collector.otlp_http) as traffic:
            for number in range(20):
                traffic.request(f"r-{number}", {"cart_total": 1.5}, duration_s=0.01 * (1 + number % 2))
                traffic.request(f"s-{number}", method="GET", duration_s=3.0)
            traffic.flush()
            eventually(lambda: splunk.total(f"{DURATION}_count"), 40)
            seconds = splunk.total(DURATION + "_sum", http__request__method="POST")
            assert seconds / splunk.total(DURATION + "_count", http__request__method="POST") == pytest.approx(0.015)
            assert splunk.datapoints(f"{DURATION}_count")[0].kind == "cumulative_counter"
            assert "telemetry.sdk.name" not in splunk.datapoints(f"{DURATION}_count")[0].dimensions
            spans = splunk.wait_for_spans(80)
            [found] = [span for span in spans if span["attributes"].get("flask.request_id") == "r-10"]
            assert found["attributes"]["flask.g.cart_total"] == 1.5


def test_two_targets_as_in_the_sample_application(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Routes for `influxdb,signalfx`, for one of both and for nobody: each target has its own, and no other."""
    with SplunkIngest() as splunk:
        collector = start_collector("influxdb", "splunk", env={**env(splunk), **influxdb.collector_env})
        with Traffic(collector.otlp_http) as traffic:
            for chests in ("influxdb,signalfx", "signalfx", "splunk", "influxdb", "file", None):
                traffic.request(str(chests), {"cart_total": 1.0}, route=f"/{chests}", chests=chests)
            traffic.flush()
            splunk.wait_for_spans(8)
            eventually(lambda: len(influxdb.influxql("SELECT duration_nano FROM spans")), 6)
            eventually(lambda: splunk.total("flask.g.cart_total_count"), 4)
        ids = {span["attributes"].get("flask.request_id") for span in splunk.spans()} - {None}
        assert ids == {"influxdb,signalfx", "signalfx", "splunk", "None"}
        query = 'SELECT duration_nano, "flask.request_id" FROM spans'
        known = {row["flask.request_id"] for row in influxdb.influxql(query)} - {None}
        assert known == {"influxdb,signalfx", "influxdb", "None"}


def test_splunk_down_and_collector_killed(start_collector: StartCollector) -> None:
    """500 requests while Splunk answers 503, kill -9 of the collector, 100 more: all 600 arrive, each span once."""
    with SplunkIngest(status=503) as splunk:
        collector = start_collector("splunk", env=env(splunk))
        with Traffic(collector.otlp_http) as traffic:
            for number in range(500):
                traffic.request(f"r-{number}", {"cart_total": 1.0})
            traffic.flush()
            collector.kill9()
            collector.start()
            for number in range(500, 600):
                traffic.request(f"r-{number}", {"cart_total": 1.0})
            traffic.flush()
            splunk.status = 200
            spans = splunk.wait_for_spans(1200, 40)
            assert len({span["span_id"] for span in spans}) == len(spans) == 1200
            eventually(lambda: splunk.total("flask.g.cart_total_count"), 600)
