"""`zipkin.yaml` on a real Zipkin, asked through its HTTP interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import require_built, require_installed
from tests.backends.traffic import Traffic, eventually
from tests.backends.zipkin import Zipkin

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real


def no_ids(span: Any, number: int) -> None:
    if number == 1:
        span.trace_id = span.span_id = b""


def test_answers_what_was_served_through_an_outage(start_collector: StartCollector, tmp_path: Path) -> None:
    """Zipkin, down at first with the collector killed meanwhile, has each request's span once and answers right."""
    require_installed("java", "default-jre-headless")
    require_built("zipkin")
    zipkin = Zipkin(tmp_path / "zipkin")
    collector = start_collector("zipkin", "debug", env=zipkin.collector_env)
    with Traffic(collector.otlp_http) as traffic:
        for number in range(500):
            traffic.request(f"r-{number}", {"cart_total": 1.5 * number}, duration_s=0.01 * (1 + number % 2))
        traffic.request("elsewhere", chests="influxdb")
        traffic.request("here", chests="influxdb,zipkin", method="GET")
        # It would be answered with 400 for ever, and hold up what comes behind it.
        assert post(collector.otlp_http, "traces", trace_request(2, change=no_ids)) == 200
        traffic.flush()
        collector.kill9()
        collector.start()
        for number in range(500, 600):
            traffic.request(f"r-{number}", {"cart_total": 1.5 * number}, duration_s=0.015)
        traffic.flush()
        with zipkin:
            eventually(lambda: len(zipkin.spans()), 2 * 601 + 1, within_s=40)
            posts = [span for span in zipkin.spans("http.request.method=POST") if span.get("kind") == "SERVER"]
            assert len(posts) == 600
            average_s = sum(span["duration"] for span in posts) / len(posts) / 1e6
            assert average_s == pytest.approx(0.015)
            [found] = [span for span in zipkin.spans("flask.request_id=r-10") if span.get("kind") == "SERVER"]
            assert found["tags"]["flask.g.cart_total"] == "15"
            assert found["name"] == "post /cart"
            assert len(zipkin.spans("flask.request_id=here")) == 2
            assert zipkin.spans("flask.request_id=elsewhere") == []
            collector.stop()
