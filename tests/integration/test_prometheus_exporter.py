"""The store, and beside it exporters that the standard variables name: scraped by a real Prometheus."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.prometheus import Prometheus
from tests.backends.require import require_module
from tests.backends.server import free_port
from tests.faults.served import Gunicorn, Traffic, counted, numbers, wait_until

if TYPE_CHECKING:
    from pathlib import Path


def stored(folder: Path) -> int:
    """How many requests of the traffic are in the store."""
    with closing(sqlite3.connect(next(folder.glob("*.sqlite3")))) as database:
        found = database.execute("SELECT count(*) FROM chest_requests WHERE route LIKE '/buy/%'").fetchone()
    return int(found[0])


def test_prometheus_and_the_store(tmp_path: Path) -> None:
    """Prometheus' own answer and the store agree with what was served; no span is sent anywhere."""
    require_module("opentelemetry.exporter.prometheus", "opentelemetry-exporter-prometheus")
    port, instance = free_port(), tmp_path / "instance"
    settings = {
        "FAULT_EXPORT": "store",
        "FAULT_INSTANCE": str(instance),
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(port),
    }
    (tmp_path / "prometheus").mkdir()
    with OtlpReceiver() as receiver:
        with (
            Gunicorn(tmp_path, receiver.url, "--workers", "1", "--threads", "4", **settings) as server,
            Prometheus(tmp_path / "prometheus", scrape=f"127.0.0.1:{port}") as prometheus,
        ):
            Traffic().send(server.port, range(50))
            wait_until(lambda: prometheus.query("flask_g_amount_total") == [50.0])
            assert prometheus.query("flask_g_amount_total") == [50.0]
        assert stored(instance) == 50
        assert receiver.spans() == []
        assert server.log() == ""


def test_otlp_by_name_and_the_store(tmp_path: Path) -> None:
    """Exporters named by the standard variables work beside the store; an address alone changes nothing."""
    for named, arriving in (({}, 0), ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"}, 50)):
        folder = tmp_path / str(arriving)
        folder.mkdir()
        settings = {"FAULT_EXPORT": "store", "FAULT_INSTANCE": str(folder / "instance"), **named}
        with OtlpReceiver() as receiver:
            with Gunicorn(folder, receiver.url, "--workers", "2", **settings) as server:
                Traffic().send(server.port, range(50))
            assert stored(folder / "instance") == 50
            assert sorted(numbers(receiver)) == list(range(arriving))
            assert counted(receiver) == arriving


def test_a_second_worker_has_no_port(tmp_path: Path) -> None:
    """Two workers and one port: one says that it is taken, both answer, and the store has the requests of both."""
    require_module("opentelemetry.exporter.prometheus", "opentelemetry-exporter-prometheus")
    settings = {
        "FAULT_EXPORT": "store",
        "FAULT_INSTANCE": str(tmp_path / "instance"),
        "OTEL_METRICS_EXPORTER": "prometheus",
        "OTEL_EXPORTER_PROMETHEUS_HOST": "127.0.0.1",
        "OTEL_EXPORTER_PROMETHEUS_PORT": str(free_port()),
    }
    traffic = Traffic()
    with OtlpReceiver() as receiver, Gunicorn(tmp_path, receiver.url, "--workers", "2", **settings) as server:
        for _ in range(20):
            traffic.send(server.port, range(20))
            if len(traffic.pids) == 2:
                break
        assert (len(traffic.pids), traffic.failed) == (2, 0)
        assert server.log().count("Address already in use") == 1
    assert stored(tmp_path / "instance") >= 20
