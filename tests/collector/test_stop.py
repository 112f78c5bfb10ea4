"""The collector stops within its bound, whoever it waits for, and loses nothing by it."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._collector import Composition, render
from flask_chest_otel._collector.drain import left
from flask_chest_otel._collector.fragments import TARGETS
from tests.backends import jsonl
from tests.backends.log_traffic import LogTraffic
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.raw_otlp import gauge_request, post, trace_request
from tests.backends.server import free_port
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.backends.collector import Collector
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

POST = b"POST /v1/traces HTTP/1.1\r\nHost: door\r\nContent-Type: application/x-protobuf\r\nContent-Length: 99\r\n\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")


def seconds_to_stop(collector: Collector) -> float:
    """Stop it as a process manager does; return how long that took."""
    began = time.monotonic()
    collector.stop()
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("port", "said"),
    [("GRPC", b""), ("GRPC", PREFACE), ("HTTP", b""), ("HTTP", POST[:30]), ("HTTP", POST), ("HTTP", POST + b"x")],
    ids=["grpc-silent", "grpc-idle", "http-silent", "http-head", "http-no-body", "http-half"],
)
def test_a_caller_does_not_keep_it(start_collector: StartCollector, port: str, said: bytes) -> None:
    """Somebody who is connected and says nothing, or half of it, delays a stop by seconds; others' data arrive."""
    collector = start_collector("file")
    address = ("127.0.0.1", int(collector.env[f"CHEST_OTLP_{port}_PORT"]))
    with closing(socket.create_connection(address)) as caller:
        caller.sendall(said)
        assert post(collector.otlp_http, "traces", trace_request(3)) == 200
        eventually(lambda: len(jsonl.spans(collector.folder / "telemetry.jsonl")), 3)
        assert seconds_to_stop(collector) < 12
    assert "keeps the collector from stopping" not in collector.log()


def at_one_address(port: int) -> Mapping[str, str]:
    """Settings with which every target that is asked by a network is at this port."""
    url = f"http://127.0.0.1:{port}"
    return {
        **{f"{name}_URL": url for name in ("INFLUXDB", "INFLUXDB1", "ZIPKIN", "OTLP_TARGET", "SPLUNK_HEC")},
        "SPLUNK_INGEST_URL": url,
        "INFLUXDB_TOKEN": "t",
        "CLICKHOUSE_URL": url,
        "CLICKHOUSE_CREATE_SCHEMA": "false",
        "KAFKA_BROKERS": f"127.0.0.1:{port}",
        "PROMETHEUS_REMOTE_WRITE_URL": url,
        "CHEST_AWS_ENDPOINT": url,
        "CHEST_AWS_LOCAL_MODE": "true",
        "AWS_ACCESS_KEY_ID": "k",
        "AWS_SECRET_ACCESS_KEY": "s",
    }


ALL = (
    *("influxdb", "influxdb1", "splunk", "splunk_hec", "otlp", "zipkin", "aws", "clickhouse", "kafka"),
    "prometheus_remote_write",
)


def send_all(url: str, signals: set[str]) -> int:
    """Send a batch of each of these signals; return how many."""
    if "traces" in signals:
        assert post(url, "traces", trace_request(7)) == 200
    if "metrics" in signals:
        assert post(url, "metrics", gauge_request("level", [1.0])) == 200
    if "logs" in signals:
        LogTraffic(url).send("r-1")
    return len(signals)


DEAD = [
    *(((one,), False) for one in ALL),
    *(((one,), True) for one in ("otlp", "clickhouse", "kafka")),
    (ALL, False),
    (ALL, True),
]


@pytest.mark.parametrize(
    ("names", "hangs"), DEAD, ids=[f"{'+'.join(names[:2])}-{'hangs' if hangs else 'refuses'}" for names, hangs in DEAD]
)
def test_dead_targets_do_not_keep_it(
    start_collector: StartCollector,
    names: tuple[str, ...],
    hangs: bool,
) -> None:
    """With data for targets that refuse or never answer it stops in time; afterwards the data are there still."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", free_port()))
        if hangs:
            hole.listen(512)
        collector = start_collector(*names, env=at_one_address(hole.getsockname()[1]))
        sent = send_all(collector.otlp_http, {one for name in names for one in TARGETS[name].signals.split(", ")})
        # From the gate to where the target is tried.
        time.sleep(2)
        assert seconds_to_stop(collector) < 18
        assert left(render(Composition(names)), collector.env) >= sent
    if "otlp" in names:
        with OtlpReceiver() as again:
            collector.env["OTLP_TARGET_URL"] = again.url
            collector.start()
            assert len(again.wait_for_spans(7)) == 7
            collector.kill9()  # how long it takes to stop is known by now
