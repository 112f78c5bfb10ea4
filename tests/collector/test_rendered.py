"""What `flask chest collector` renders and runs: accepted by the collector, and delivering for real."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from examples.shop.app import create_app
from flask_chest_otel._collector import Composition, render
from flask_chest_otel._collector.application import look_at
from flask_chest_otel._collector.binary import find
from flask_chest_otel._collector.check import problems
from flask_chest_otel._collector.fragments import TARGETS
from flask_chest_otel._lifecycle.state import config_of
from tests.backends import jsonl
from tests.backends.collector import MUST_BE_SET
from tests.backends.influxdb1 import InfluxDB1
from tests.backends.prometheus import Prometheus
from tests.backends.require import require_built, require_installed
from tests.backends.server import free_port
from tests.backends.shop import Shop
from tests.backends.splunk import TOKEN, SplunkIngest
from tests.backends.traffic import Traffic, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

COMPOSITIONS = [
    *(Composition(names) for names in itertools.combinations(TARGETS, 2)),
    *(Composition((name,), redaction=True, tail_sampling=True, span_metrics=True, raw_values=True) for name in TARGETS),
    *(Composition((name,), from_kafka=True, redaction=True) for name in TARGETS if name != "kafka"),
    Composition(tuple(TARGETS)),
    Composition(tuple(TARGETS), redaction=True, tail_sampling=True, secure=True),
    Composition(("influxdb", "aws"), secure=True, from_kafka=True, span_metrics=True, raw_values=True, redaction=True),
    Composition(tuple(TARGETS), redaction=True, tail_sampling=True, span_metrics=True, raw_values=True),
]


def test_collector_accepts_what_is_rendered(tmp_path: Path) -> None:
    """The collector's own validation has nothing to say: each pair of targets, each with add-ons, all together."""
    binary = require_built("flask-chest-collector")
    app = create_app(str(tmp_path / "instance"))
    shop = look_at(app, config_of(app))

    def complaints(composition: Composition) -> str:
        path = tmp_path / f"{COMPOSITIONS.index(composition)}.yaml"
        path.write_text(render(composition, shop))
        command = [str(binary), "validate", "--config", str(path)]
        done = subprocess.run(command, env=MUST_BE_SET, capture_output=True, text=True, check=False)
        return f"{composition}: {done.stderr}" if done.returncode else ""

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        assert list(filter(None, pool.map(complaints, COMPOSITIONS))) == []


def test_shop_delivers_with_raw_values(start_collector: StartCollector, influxdb: InfluxDB2, tmp_path: Path) -> None:
    """The shop's requests are in InfluxDB and the file, and each cart's total is a point with its request id."""
    app = create_app(str(tmp_path / "instance"))
    text = render(Composition(("influxdb", "file"), raw_values=True), look_at(app, config_of(app)))
    collector = start_collector(whole=text, env=influxdb.collector_env)
    with Shop(tmp_path / "shop", collector.otlp_http) as shop:
        served = shop.visit(100)["total"]["transactions"]
        shop.stop()
    path = collector.folder / "telemetry.jsonl"

    def requests() -> list[dict[str, object]]:
        spans = {span["spanId"]: span["attributes"] for span in jsonl.spans(path)}
        return [attributes for attributes in spans.values() if "flask.g.transaction" in attributes]

    eventually(lambda: len(requests()), served, within_s=30)
    carts = {
        str(one["flask.request_id"]): one["flask.g.cart_total"] for one in requests() if "flask.g.cart_total" in one
    }
    assert len(carts) > 10
    query = 'SELECT gauge, "flask.request_id", "flask.g.plan" FROM cart_total'
    eventually(lambda: {row["flask.request_id"]: row["gauge"] for row in influxdb.influxql(query)}, carts)
    assert all(row["flask.g.plan"] for row in influxdb.influxql(query))
    times = "SELECT count(gauge) AS count FROM response_time"
    eventually(lambda: [row["count"] for row in influxdb.influxql(times)], [served])


def command_line(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flask", "chest", "collector", *arguments]


def test_run_is_the_collector(influxdb: InfluxDB2, tmp_path: Path) -> None:
    """`run` delivers to InfluxDB and the file; SIGTERM stops it and its exit code comes back, also a bad one."""
    require_built("flask-chest-collector")
    ports = {name: str(free_port()) for name in ("CHEST_OTLP_HTTP_PORT", "CHEST_OTLP_GRPC_PORT")}
    ports |= {name: str(free_port()) for name in ("CHEST_HEALTH_PORT", "CHEST_METRICS_PORT", "CHEST_FILE_GATE_PORT")}
    ports |= {name: str(free_port()) for name in ("CHEST_FILE_QUEUE_PORT", "CHEST_INFLUXDB_GATE_PORT")}
    path = tmp_path / "telemetry.jsonl"
    place = {"CHEST_QUEUE_DIR": str(tmp_path / "queue"), "CHEST_FILE_PATH": str(path)}
    env = {**os.environ, **ports, **place, **influxdb.collector_env}
    run = command_line("run", "--target", "influxdb", "--target", "file")
    with (tmp_path / "log").open("w+") as log, subprocess.Popen(run, cwd=tmp_path, env=env, stderr=log) as process:
        eventually(lambda: "Everything is ready" in (tmp_path / "log").read_text(), expected=True)
        with Traffic(f"http://127.0.0.1:{ports['CHEST_OTLP_HTTP_PORT']}") as traffic:
            traffic.request("r-1")
            traffic.flush()
        eventually(lambda: len(jsonl.spans(path)), 2)
        eventually(lambda: len(influxdb.influxql("SELECT duration_nano FROM spans")), 2)
        check = command_line("check", "--target", "influxdb", "--target", "file")
        checked = subprocess.run(check, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert checked.returncode == 1
        assert f"port {ports['CHEST_OTLP_HTTP_PORT']} (CHEST_OTLP_HTTP_PORT) cannot be used" in checked.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    checked = subprocess.run(check, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "All is well: influxdb, file.\n")
    bad = subprocess.run(run, cwd=tmp_path, env={**env, "CHEST_HEALTH_PORT": "x"}, capture_output=True, check=False)
    assert bad.returncode == 1


def asked(name: str, environ: dict[str, str]) -> list[str]:
    composition = Composition((name,))
    return [one for one in problems(composition, render(composition), environ) if one.startswith(f"{name}:")]


def test_check_asks_influxdb(influxdb: InfluxDB2) -> None:
    """The right token and bucket are fine; a wrong token and a missing bucket are told apart."""
    right = dict(influxdb.collector_env)
    assert asked("influxdb", right) == []
    [refused] = asked("influxdb", {**right, "INFLUXDB_TOKEN": "wrong"})
    assert "refuses the credentials (401). Type: export INFLUXDB_TOKEN=" in refused
    [missing] = asked("influxdb", {**right, "INFLUXDB_BUCKET": "elsewhere"})
    assert "has no bucket 'elsewhere'" in missing
    [missing] = asked("influxdb", {**right, "INFLUXDB_ORG": "nobody"})
    assert "in the organisation 'nobody'" in missing


def test_check_takes_an_influxdb_token_that_only_writes(influxdb: InfluxDB2) -> None:
    """The token that the target's page tells to make is fine; one that reads only is not, nor one for one bucket."""
    metrics, spans = influxdb.make_bucket("m"), influxdb.make_bucket("s")
    env = {**influxdb.collector_env, "INFLUXDB_BUCKET": "m", "INFLUXDB_SPANS_BUCKET": "s"}
    assert asked("influxdb", {**env, "INFLUXDB_TOKEN": influxdb.make_token("write", metrics, spans)}) == []
    assert influxdb.influxql("SHOW MEASUREMENTS", "m") == influxdb.influxql("SHOW MEASUREMENTS", "s") == []
    for bad in (influxdb.make_token("read", metrics, spans), influxdb.make_token("write", metrics)):
        [refused] = asked("influxdb", {**env, "INFLUXDB_TOKEN": bad})
        assert "refuses the credentials (403). Type: export INFLUXDB_TOKEN=" in refused


def test_check_asks_the_others(tmp_path: Path) -> None:
    """InfluxDB 1.x for its database, Splunk for its token, Prometheus whether it takes remote writes."""
    require_installed("influxd", "influxdb")
    require_installed("prometheus", "prometheus")
    with InfluxDB1(tmp_path / "influxdb1") as influxdb1:
        assert asked("influxdb1", dict(influxdb1.collector_env)) == []
        [missing] = asked("influxdb1", {**influxdb1.collector_env, "INFLUXDB1_DATABASE": "elsewhere"})
        assert "has no database 'elsewhere'" in missing
    with SplunkIngest() as splunk:
        right = {"SPLUNK_INGEST_URL": splunk.url, "SPLUNK_ACCESS_TOKEN": TOKEN}
        assert asked("splunk", right) == []
        [refused] = asked("splunk", {**right, "SPLUNK_ACCESS_TOKEN": "guess"})
        assert "refuses the credentials (401)" in refused
    with Prometheus(tmp_path / "prometheus") as server:
        assert asked("prometheus_remote_write", {"PROMETHEUS_REMOTE_WRITE_URL": server.remote_write_url}) == []
        [missing] = asked("prometheus_remote_write", {"PROMETHEUS_REMOTE_WRITE_URL": f"{server.url}/api/v1/wrong"})
        assert "takes no remote writes" in missing


def test_run_from_the_repository_is_found() -> None:
    """The collector that is built here is the one that `run` takes."""
    assert find() == require_built("flask-chest-collector")
