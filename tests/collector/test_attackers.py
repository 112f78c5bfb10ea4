"""The whole corpus of nasty texts through an application and the collector: no batch is refused because of a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.backends.attackers import CORPUS, Attacker, ask, attacked
from tests.backends.prometheus import Prometheus
from tests.backends.require import require_installed
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.collector import Collector
    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

RANDOM = 200
SPANS = "SELECT count(duration_nano) AS count FROM spans"
TOTAL = 'SELECT sum(c) AS total FROM (SELECT last("counter") AS c FROM "flask.g.requests" GROUP BY *)'


def attack(url: str, *, dimension: bool) -> int:
    """Serve every text of the corpus and random ones, exported to ``url``; how many requests."""
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"), 60_000)
    meters = MeterProvider([reader], shutdown_on_exit=False)
    providers = {"tracer_provider": tracers, "meter_provider": meters}
    app = attacked(dimension=dimension, server_span="chest", cardinality_limit=10_000, **providers)
    attacker = Attacker(7)
    asked = [{"value": text, "kind": text, text: text} for text in CORPUS.values()]
    asked += [{attacker.name(): attacker.value() for _ in range(40)} | {"kind": attacker.text()} for _ in range(RANDOM)]
    for said in asked:
        headers = {"X-Request-ID": attacker.header(), "User-Agent": attacker.header()}
        assert ask(app, said, headers)[0] == "200 OK"
    assert tracers.force_flush()
    assert meters.force_flush()
    tracers.shutdown()
    meters.shutdown()
    return len(asked)


def nothing_was_refused(collector: Collector) -> None:
    """No exporter has given up anything."""
    assert collector.own_metric("otelcol_exporter_send_failed_spans") == 0
    assert collector.own_metric("otelcol_exporter_send_failed_metric_points") == 0


def test_influxdb_takes_everything(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """As id, header, name and value: every span arrives, and the sums are exact; as dimension, nothing is refused.

    Dimensions that differ in control characters only are one series there: those become spaces.
    """
    collector = start_collector("influxdb", env=influxdb.collector_env)
    requests = attack(collector.otlp_http, dimension=False)
    eventually(lambda: [row["count"] for row in influxdb.influxql(SPANS)], [requests], within_s=30)
    eventually(lambda: [row["total"] for row in influxdb.influxql(TOTAL)], [requests], within_s=30)
    requests += attack(collector.otlp_http, dimension=True)
    eventually(lambda: [row["count"] for row in influxdb.influxql(SPANS)], [requests], within_s=30)
    nothing_was_refused(collector)


def test_prometheus_takes_everything(start_collector: StartCollector, tmp_path: Path) -> None:
    """Also as dimensions, empty ones included: what is scraped is whole, and the sum exact."""
    require_installed("prometheus", "prometheus")
    collector = start_collector("prometheus", "file")
    scrape = f"127.0.0.1:{collector.env['PROMETHEUS_SCRAPE_PORT']}"
    with Prometheus(tmp_path / "prometheus", scrape=scrape) as prometheus:
        requests = attack(collector.otlp_http, dimension=True)
        eventually(lambda: prometheus.query("sum(flask_g_requests_total)"), [requests], within_s=30)
        assert prometheus.query('up{job="flask-chest"}') == [1.0]
    nothing_was_refused(collector)
