"""`otlp.yaml` on a receiver that decodes with OpenTelemetry's own classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._otlp.endpoint import GRPC, HTTP
from flask_chest_otel._outbox.worker import OutboxWorker
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.outbox import kept
from tests.backends.traffic import DURATION, Traffic, eventually
from tests.unit.export.batches import route_to, spans

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real


def test_everything_arrives_unchanged_with_headers(start_collector: StartCollector) -> None:
    """Spans and metrics arrive as the application sent them, each request with the headers that were set."""
    with OtlpReceiver() as backend:
        env = {"OTLP_TARGET_URL": backend.url, "OTLP_TARGET_HEADERS": "{x-team: abc, Authorization: Basic eDp5}"}
        collector = start_collector("otlp", env=env)
        with Traffic(collector.otlp_http) as traffic:
            for number in range(30):
                traffic.request(f"r-{number}", {"cart_total": 1.5, "text": "a\nb\\"}, duration_s=0.25)
            traffic.request("elsewhere", chests="influxdb")
            traffic.request("here", chests="otlp,x")
            traffic.flush()
            arrived = backend.wait_for_spans(62)
            [found] = [span for span in arrived if span["attributes"].get("flask.request_id") == "r-10"]
            assert found["attributes"]["flask.g.text"] == "a\nb\\"
            assert found["attributes"]["flask.g.cart_total"] == 1.5
            assert not [span for span in arrived if span["attributes"].get("flask.request_id") == "elsewhere"]
            # Upstream's HTTP metrics carry no list of destinations.
            eventually(lambda: sum(point["count"] or 0 for point in backend.latest(DURATION)), 32)
        assert {(h["x-team"], h["authorization"]) for h in backend.headers} == {("abc", "Basic eDp5")}


def test_target_down_and_collector_killed(start_collector: StartCollector) -> None:
    """What came while the target was away and before a kill -9 arrives, each span once."""
    with OtlpReceiver() as dead:
        port = dead.port
    collector = start_collector("otlp", env={"OTLP_TARGET_URL": f"http://127.0.0.1:{port}"})
    with Traffic(collector.otlp_http) as traffic:
        for number in range(500):
            traffic.request(f"r-{number}")
        traffic.flush()
        collector.kill9()
        collector.start()
        for number in range(100):
            traffic.request(f"s-{number}")
        traffic.flush()
        with OtlpReceiver(port=port) as backend:
            arrived = backend.wait_for_spans(1200, 40)
            assert len({span["span_id"] for span in arrived}) == len(arrived) == 1200
            collector.stop()


LIMITS = """
receivers:
  otlp:
    protocols:
      grpc:
        max_recv_msg_size_mib: 1
      http:
        max_request_body_size: 100000
"""


@pytest.mark.parametrize("protocol", [HTTP, GRPC])
def test_requests_that_the_collector_finds_too_large(
    start_collector: StartCollector, tmp_path: Path, protocol: str
) -> None:
    """They go in parts, each span once and nothing behind them waits; one that is too large alone is put aside."""
    limits = tmp_path / "limits.yaml"
    limits.write_text(LIMITS)
    with OtlpReceiver() as backend:
        collector = start_collector("otlp", limits, env={"OTLP_TARGET_URL": backend.url})
        address = collector.otlp_http if protocol == HTTP else f"http://{collector.otlp_grpc}"
        dispatch = OutboxWorker(route_to(address, tmp_path / "outbox", protocol=protocol))
        dispatch.join(dispatch)
        names = [f"{number}-" + "x" * 10_000 for number in range(300)]
        dispatch.put("traces", 301, spans(*names, "large" + "y" * 2_000_000))
        dispatch.put("traces", 1, spans("behind"))
        assert dispatch.flush(20.0)
        arrived = [span["name"] for span in backend.wait_for_spans(301, 20)]
        assert sorted(arrived) == sorted([*names, "behind"])
        dispatch.leave(dispatch)
    (aside,) = kept(tmp_path / "outbox")
    assert aside.items == 1
    assert aside.refused is not None
    assert "too large alone: 'largeyyy" in aside.refused
