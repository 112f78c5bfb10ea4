"""The disk of the queues is full: what was accepted is not lost, and what cannot be kept is not accepted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.backends.disk import fill
from tests.backends.raw_otlp import post, trace_request
from tests.backends.server import request
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.collector import Collector
    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

COUNT = "SELECT count(duration_nano) AS count FROM spans"
SPANS = 40


def accepted(collector: Collector, posts: int, spans: int = SPANS, at_once: int = 1) -> int:
    """Send batches; return how many spans were answered with 200."""
    bodies = [trace_request(spans, {"text": "x" * 5000}, name=f"batch {n}") for n in range(posts)]
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(lambda body: post(collector.otlp_http, "traces", body), bodies))
    return answers.count(200) * spans


@pytest.mark.parametrize("small_disk", [160, 64], indirect=True)
def test_the_door_closes_before_the_disk_is_full(
    start_collector: StartCollector, influxdb: InfluxDB2, small_disk: Path
) -> None:
    """32 000 spans for a target that is away: the door refuses what has no room, and all that it took arrives."""
    env = {**influxdb.collector_env, "CHEST_QUEUE_DIR": str(small_disk)}
    collector = start_collector("influxdb", env=env)
    influxdb.stop()
    took = accepted(collector, 800)
    assert 0 < took < 32_000
    assert collector.log().count("The disk of the queues is nearly full") == 1
    # Less than that wakes somebody, as the alert is written.
    free = collector.own_metric("otelcol_chest_queue_disk_free")
    reserve = collector.own_metric("otelcol_chest_queue_disk_reserve")
    assert reserve / 2 < free < 2 * reserve
    influxdb.start()
    eventually(lambda: [row["count"] for row in influxdb.influxql(COUNT)], [took], within_s=120)
    assert collector.own_metric("otelcol_exporter_send_failed_spans") == 0
    # There is room again, and the door takes what comes.
    eventually(lambda: accepted(collector, 1), SPANS)


def test_a_burst_does_not_fill_the_disk(start_collector: StartCollector, influxdb: InfluxDB2, small_disk: Path) -> None:
    """Sixteen requests of 2 MB at once: what is let in is written twice, and there is room for all of it."""
    collector = start_collector("influxdb", env={**influxdb.collector_env, "CHEST_QUEUE_DIR": str(small_disk)})
    influxdb.stop()
    took = accepted(collector, 48, spans=400, at_once=16)
    assert 0 < took < 48 * 400
    influxdb.start()
    eventually(lambda: [row["count"] for row in influxdb.influxql(COUNT)], [took], within_s=120)
    assert collector.own_metric("otelcol_exporter_send_failed_spans") == 0


@pytest.mark.parametrize("how", ["goes on", "stop", "kill9"])
def test_others_fill_the_disk(how: str, start_collector: StartCollector, influxdb: InfluxDB2, small_disk: Path) -> None:
    """Someone else fills the disk while much waits: nothing of that is lost when there is room again."""
    env = {**influxdb.collector_env, "CHEST_QUEUE_DIR": str(small_disk)}
    collector = start_collector("influxdb", env=env)
    influxdb.stop()
    # A quarter of the disk, so that our own queues do not fill it: all of it is taken, and comes behind the gate.
    took = accepted(collector, 80)
    assert took == 80 * SPANS
    eventually(lambda: collector.own_metric("otelcol_exporter_sent_spans", exporter="otlp_grpc/influxdb_gate"), took)
    fill(small_disk / "ballast")
    assert accepted(collector, 20) == 0
    influxdb.start()
    assert request(f"http://127.0.0.1:{collector.env['CHEST_HEALTH_PORT']}/")[0] == 200
    if how != "goes on":
        getattr(collector, how)()
    (small_disk / "ballast").unlink()
    if how != "goes on":
        collector.start()
    eventually(lambda: [row["count"] for row in influxdb.influxql(COUNT)], [took], within_s=120)
