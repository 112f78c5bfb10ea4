"""`clickhouse.yaml` on ClickHouse's own engine, asked in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backends.clickhouse import ClickHouse
from tests.backends.require import require_module
from tests.backends.traffic import Traffic, eventually, serve_through_an_outage

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

SPANS = "SELECT count() AS n, uniqExact(SpanId) AS distinct FROM chest.otel_traces"
TOTAL = """
    SELECT sum(n) AS n FROM (SELECT max(Count) AS n FROM chest.otel_metrics_histogram
    WHERE MetricName = 'http.server.request.duration' GROUP BY ResourceAttributes, Attributes)
"""
AVERAGE_OF_POST = """
    SELECT avg(Duration) / 1e9 AS s FROM chest.otel_traces
    WHERE SpanKind = 'Server' AND SpanAttributes['http.request.method'] = 'POST'
"""
ONE_REQUEST = """
    SELECT SpanAttributes['flask.g.cart_total'] AS total FROM chest.otel_traces
    WHERE SpanAttributes['flask.request_id'] = 'r-10'
"""


def test_answers_what_was_served_through_an_outage(start_collector: StartCollector, tmp_path: Path) -> None:
    """The three questions, in SQL, are answered right although ClickHouse was down and the collector killed."""
    require_module("chdb", "chdb")
    with ClickHouse(tmp_path / "clickhouse") as server:
        collector = start_collector("clickhouse", env=server.collector_env)
        collector.env["CLICKHOUSE_CREATE_SCHEMA"] = "false"  # from its second start on
        with Traffic(collector.otlp_http) as traffic:
            serve_through_an_outage(traffic, collector, server)
            eventually(lambda: server.query(SPANS), [{"n": 2200, "distinct": 2200}], within_s=40)
            eventually(lambda: server.query(TOTAL), [{"n": 1101}])
            [average] = server.query(AVERAGE_OF_POST)
            assert average["s"] == pytest.approx(0.015)
            assert server.query(ONE_REQUEST) == [{"total": "15"}]
            collector.stop()
