"""`aws.yaml` on moto's server: what CloudWatch Logs and X-Ray hold afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backends import jsonl
from tests.backends.aws import Aws
from tests.backends.require import require_module
from tests.backends.traffic import DURATION, Traffic, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real


def test_answers_what_was_served_through_an_outage(start_collector: StartCollector, tmp_path: Path) -> None:
    """Transactions and response time of POST add up in CloudWatch, and X-Ray finds a request's variables.

    AWS is away at first and the collector is killed meanwhile.
    """
    require_module("moto.server", "moto[server]")
    aws = Aws(tmp_path / "aws")
    collector = start_collector("aws", "file", env=aws.collector_env)
    with Traffic(collector.otlp_http) as traffic:
        for number in range(50):
            traffic.request(f"r-{number}", {"cart_total": 1.5 * number}, duration_s=0.01 * (1 + number % 2))
            traffic.request(f"s-{number}", method="GET", duration_s=3.0)
        traffic.request("elsewhere", {"cart_total": 1.0}, chests="file", method="GET")
        traffic.flush()
        path = collector.folder / "telemetry.jsonl"
        eventually(lambda: len(jsonl.spans(path)), 202)
        collector.kill9()
        collector.start()
        traces = {span["attributes"].get("flask.request_id"): span["traceId"] for span in jsonl.spans(path)}
        with aws:
            posts = {"http.request.method": "POST"}
            eventually(lambda: total(aws, DURATION, "Count"), 101, within_s=60)
            assert total(aws, DURATION, "Count", posts) == 50
            assert total(aws, DURATION, "Sum", posts) == pytest.approx(50 * 0.015)
            assert total(aws, "flask.g.cart_total", "Count") == 50
            eventually(lambda: bool(aws.segments([traces["r-10"]])), expected=True)
            kept = next(one for one in aws.segments([traces["r-10"]]) if "annotations" in one)
            assert kept["annotations"]["flask.request_id"] == "r-10"
            assert kept["metadata"]["default"]["flask.g.cart_total"] == 15.0
            assert aws.segments([traces["elsewhere"]]) == []


def total(aws: Aws, name: str, figure: str, only: dict[str, str] | None = None) -> float:
    """Return the sum of one figure over all events of a histogram, as CloudWatch's statistics do."""
    wanted = (only or {}).items()
    return float(sum(event[name][figure] for event in aws.metric_events(name) if wanted <= event.items()))
