"""What is lost when something dies: nothing. What a dead target costs a healthy one: nothing."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.backends import jsonl
from tests.backends.influxdb1 import InfluxDB1
from tests.backends.influxdb2 import InfluxDB2
from tests.backends.raw_otlp import gauge_request, post, trace_request
from tests.backends.require import REPOSITORY, require_built, require_installed
from tests.backends.traffic import Traffic, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.collector import Collector
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

COUNT = "SELECT count(duration_nano) AS count FROM spans"
TOTAL = 'SELECT sum(c) AS total FROM (SELECT last("count") AS c FROM "flask.g.cart_total" GROUP BY *)'
SUM = 'SELECT sum(s) AS total FROM (SELECT last("sum") AS s FROM "flask.g.cart_total" GROUP BY *)'


def test_target_down_and_collector_killed(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """500 requests while InfluxDB is down, kill -9 of the collector, 100 more: all 600 are there, once, sums exact."""
    collector = start_collector("influxdb", "file", env=influxdb.collector_env)
    influxdb.stop()
    with Traffic(collector.otlp_http) as traffic:
        for number in range(500):
            traffic.request(f"r-{number}", {"cart_total": float(number)})
        traffic.flush()
        collector.kill9()
        collector.start()
        for number in range(500, 600):
            traffic.request(f"r-{number}", {"cart_total": float(number)})
        traffic.flush()
        healthy = collector.folder / "telemetry.jsonl"
        eventually(lambda: len({span["spanId"] for span in jsonl.spans(healthy)}), 1200)
        influxdb.start()
        eventually(lambda: [row["count"] for row in influxdb.influxql(COUNT)], [1200], within_s=40)
        eventually(lambda: [row["total"] for row in influxdb.influxql(TOTAL)], [600])
        assert [row["total"] for row in influxdb.influxql(SUM)] == [sum(range(600))]


def test_full_queue_of_a_dead_target(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """With the dead target's queue full, each batch is accepted at once and comes to the healthy target once.

    What did not fit is given up after the gate's ten seconds and counted; what did fit arrives when the target is up.
    """
    env = {**influxdb.collector_env, "CHEST_INFLUXDB_QUEUE_BYTES": "4000000"}  # the least
    collector = start_collector("influxdb", "file", env=env)
    influxdb.stop()
    slowest_s = 0.0
    for number in range(300):
        started = time.monotonic()
        body = trace_request(20, {"text": "x" * 2000}, name=f"batch {number}")
        assert post(collector.otlp_http, "traces", body) == 200
        slowest_s = max(slowest_s, time.monotonic() - started)
    assert slowest_s < 2.0
    for _ in range(6):
        assert post(collector.otlp_http, "metrics", gauge_request("load", [1.0] * 40_000)) == 200
    healthy = collector.folder / "telemetry.jsonl"
    eventually(lambda: len(jsonl.spans(healthy)), 6000)
    times = Counter(span["spanId"] for span in jsonl.spans(healthy))
    assert set(times.values()) == {1}
    eventually(lambda: dropped(collector) + passed(collector), 6000, within_s=30)
    assert dropped(collector) > 0
    # What the documentation tells operators to watch is there, and says so.
    assert collector.own_metric("otelcol_exporter_queue_size", exporter="influxdb") > 500_000
    assert collector.own_metric("otelcol_exporter_queue_capacity", exporter="influxdb", data_type="traces") == 4_000_000
    assert collector.own_metric("otelcol_exporter_send_failed_spans", exporter="influxdb") == 0
    points = {"exporter": "otlp_grpc/influxdb_gate"}
    ends = ("otelcol_exporter_send_failed_metric_points", "otelcol_exporter_sent_metric_points")
    eventually(lambda: sum(collector.own_metric(name, **points) for name in ends), 240_000, within_s=30)
    assert collector.own_metric(ends[0], **points) > 0
    assert collector.own_metric("otelcol_receiver_accepted_spans", receiver="otlp") == 6000
    assert watched() - collector.own_metric_names() == set()
    influxdb.start()
    eventually(lambda: [row["count"] for row in influxdb.influxql(COUNT)], [6000 - dropped(collector)], within_s=40)


def watched() -> set[str]:
    """Return the collector's own metrics that any page names; those of tail sampling and the guard have own tests.

    Those of log records, of which there are none here, are those of spans by another name.
    """
    pages = ("docs/how-to/collector-run.md", "collector-config/README.md", "collector-config/deploy/README.md")
    texts = [(REPOSITORY / page).read_text() for page in pages]
    names = {name for text in texts for name in re.findall(r"\botelcol_\w+", text)}
    assert len(names) > 5
    names = {name.replace("_log_records", "_spans") for name in names}
    return {name for name in names if "tail_sampling" not in name and "_chest_" not in name}


def dropped(collector: Collector) -> float:
    """Return how many spans the gate of InfluxDB has given up."""
    return collector.own_metric("otelcol_exporter_send_failed_spans", exporter="otlp_grpc/influxdb_gate")


def passed(collector: Collector) -> float:
    """Return how many spans went through the gate of InfluxDB into the queue behind it."""
    return collector.own_metric("otelcol_exporter_sent_spans", exporter="otlp_grpc/influxdb_gate")


@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_restarts_under_load(how: str, start_collector: StartCollector) -> None:
    """Whatever was answered with 200 arrives, although the collector is stopped three times under load."""
    collector = start_collector("file")
    accepted, done = [0], threading.Event()

    def application() -> None:
        while not done.is_set():
            if post(collector.otlp_http, "traces", trace_request(50)) == 200:
                accepted[0] += 50

    thread = threading.Thread(target=application)
    thread.start()
    try:
        for _ in range(3):
            time.sleep(0.7)
            getattr(collector, how)()
            collector.start()
    finally:
        done.set()
        thread.join()
    assert accepted[0] > 1000
    path = collector.folder / "telemetry.jsonl"
    eventually(lambda: len({span["spanId"] for span in jsonl.spans(path)}) >= accepted[0], expected=True)


def test_largest_batch_passes_every_hop(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """512 spans with 64 variables of 1 KiB each, 33 MB in one request: each span arrives at least once, no other does.

    A hop that times out on a busy machine although it has taken its batch sends it again: the file then has spans
    twice, InfluxDB keeps each once.
    """
    collector = start_collector("influxdb", "file", env=influxdb.collector_env)
    variables = {f"flask.g.v{number}": "x" * 1024 for number in range(64)}
    sent: set[str] = set()
    body = trace_request(512, variables, change=lambda span, _: sent.add(span.span_id.hex()))
    assert len(body) > 33_000_000
    assert post(collector.otlp_http, "traces", body) == 200
    path = collector.folder / "telemetry.jsonl"
    eventually(lambda: path.exists() and path.stat().st_size > 33_000_000, expected=True)
    eventually(lambda: [row["count"] for row in influxdb.influxql(COUNT)], [512], within_s=40)
    assert {row["span_id"] for row in influxdb.influxql("SELECT duration_nano, span_id FROM spans")} == sent
    eventually(lambda: {span["spanId"] for span in jsonl.spans(path)} == sent, expected=True)
    largest = max(jsonl.spans(path), key=lambda span: len(span["attributes"]))
    assert len(largest["attributes"]) == 64


@pytest.mark.parametrize(("target", "kind"), [("influxdb", InfluxDB2), ("influxdb1", InfluxDB1)])
def test_many_points_outlive_an_outage(
    target: str, kind: type[InfluxDB2 | InfluxDB1], start_collector: StartCollector, tmp_path: Path
) -> None:
    """40 000 points and 15 000 spans that came while InfluxDB was down are there when it is up.

    The exporter gives up a batch for good when a write fails before the whole batch is converted: it must not write
    in between.
    """
    require_installed("influxd", "influxdb")
    require_built("influxd")
    with kind(tmp_path / "server") as server:
        collector = start_collector(target, env=server.collector_env)
        server.stop()
        for number in range(2):
            assert post(collector.otlp_http, "metrics", gauge_request(f"load_{number}", [1.0] * 20_000)) == 200
        for _ in range(3):
            assert post(collector.otlp_http, "traces", trace_request(5000)) == 200
        refused = f"127.0.0.1:{server.port}: connect: connection refused"
        eventually(lambda: collector.log().count(refused) >= 2, expected=True)
        server.start()
        eventually(lambda: [row["count"] for row in server.influxql(COUNT)], [15_000], within_s=60)
        points = "SELECT sum(count) AS count FROM (SELECT count(gauge) AS count FROM /load_./)"
        eventually(lambda: sum(row["count"] for row in server.influxql(points)), 40_000, within_s=60)
        failed = "otelcol_exporter_send_failed_metric_points"
        assert collector.own_metric(failed) == 0


def test_disk_of_the_file_is_full(start_collector: StartCollector, tmp_path: Path) -> None:
    """What comes while the file's disk is full waits in the queue, also through kill -9, and is written later."""
    path = tmp_path / "telemetry.jsonl"
    # On this device every write fails with "no space left", whoever writes.
    path.symlink_to("/dev/full")
    collector = start_collector("file", env={"CHEST_FILE_PATH": str(path)})
    for _ in range(20):
        assert post(collector.otlp_http, "traces", trace_request(10)) == 200
    eventually(lambda: "no space left on device" in collector.log(), expected=True)
    collector.kill9()
    collector.start()
    eventually(lambda: collector.log().count("no space left on device") > 1, expected=True)
    collector.kill9()
    path.unlink()
    collector.start()
    eventually(lambda: len({span["spanId"] for span in jsonl.spans(path)}), 200, within_s=40)
