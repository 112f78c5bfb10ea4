"""`prometheus.yaml` and `prometheus_remote_write.yaml` on a real Prometheus and VictoriaMetrics, asked in PromQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backends.prometheus import Prometheus, VictoriaMetrics
from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import require_installed
from tests.backends.traffic import Traffic, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

TOTAL = "sum(last_over_time(http_server_request_duration_seconds_count[30d]))"
AVERAGE_OF_POST = (
    'sum(last_over_time(http_server_request_duration_seconds_sum{http_request_method="POST"}[30d]))'
    ' / sum(last_over_time(http_server_request_duration_seconds_count{http_request_method="POST"}[30d]))'
)
CARTS = "sum(flask_g_cart_total_sum)"


def serve(traffic: Traffic, requests: int, start: int = 0) -> None:
    for number in range(start, start + requests):
        traffic.request(f"r-{number}", {"cart_total": 2.0}, duration_s=0.01 * (1 + number % 2))
        traffic.request(f"s-{number}", method="GET", duration_s=3.0)
        traffic.request(f"t-{number}", {"cart_total": 1000.0}, chests="influxdb", route="/elsewhere", duration_s=0.015)
    traffic.flush()


def test_scraped(start_collector: StartCollector, tmp_path: Path) -> None:
    """Prometheus, scraping, answers what two processes served; metrics for other targets are not among it."""
    require_installed("prometheus", "prometheus")
    collector = start_collector("prometheus")
    scrape = f"127.0.0.1:{collector.env['PROMETHEUS_SCRAPE_PORT']}"
    with (
        Prometheus(tmp_path / "prometheus", scrape=scrape) as server,
        Traffic(collector.otlp_http) as first,
        Traffic(collector.otlp_http) as second,
    ):
        serve(first, 20)
        serve(second, 20)
        # Traces have nowhere to go: the door says so (404), and the exporter logs it.
        assert post(collector.otlp_http, "traces", trace_request(1)) == 404
        eventually(lambda: server.query(TOTAL), [120.0])
        assert server.query(AVERAGE_OF_POST) == [pytest.approx(0.015)]
        assert server.query(CARTS) == [80.0]


@pytest.mark.parametrize("kind", [Prometheus, VictoriaMetrics])
def test_written(kind: type[Prometheus | VictoriaMetrics], start_collector: StartCollector, tmp_path: Path) -> None:
    """What came while the server was down and the collector was killed is in the answers, written remotely."""
    require_installed("prometheus", "prometheus")
    require_installed("victoria-metrics", "victoria-metrics")
    with kind(tmp_path / "server") as server:
        env = {"PROMETHEUS_REMOTE_WRITE_URL": server.remote_write_url}
        collector = start_collector("prometheus_remote_write", "debug", env=env)
        with Traffic(collector.otlp_http) as before:
            serve(before, 10)
            eventually(lambda: server.query(TOTAL), [30.0], within_s=40)
            server.stop()
            serve(before, 10, start=10)
        collector.kill9()
        collector.start()
        with Traffic(collector.otlp_http) as after:
            serve(after, 5)
            server.start()
            eventually(lambda: server.query(TOTAL), [75.0], within_s=40)
            assert server.query(AVERAGE_OF_POST) == [pytest.approx(0.0149)]
            assert server.query(CARTS) == [50.0]
        # While its server is there: else it tries for some seconds to get rid of what it has.
        collector.stop()
