"""What spans, log records and series cost in each target that runs here: disk and memory, for 100 000 of them.

    python -m benchmarks.targets [NAME…]

Everything goes through the bundled collector into the real server. A span has ten variables with random texts, about
1 KiB; each is a trace of its own. The disk is counted after a clean stop, the memory before it, less that of the empty
server.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.backends.clickhouse import ClickHouse
from tests.backends.collector import Collector
from tests.backends.influxdb2 import InfluxDB2
from tests.backends.kafka import Kafka
from tests.backends.log_traffic import LogTraffic
from tests.backends.prometheus import Prometheus, VictoriaMetrics
from tests.backends.raw_otlp import gauge_request, post, set_attribute, trace_request
from tests.backends.server import Server
from tests.backends.victorialogs import VictoriaLogs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

COUNT = 100_000
BATCH = 1_000
SAMPLES = 5
"""How often each series has a value."""

QUIET, OK = 3, 200
SETTLED_S = 5.0
"""So long the servers may work on what they have."""


class _NoServer(Server):
    """The target is the collector's own file."""

    pid = 0

    @property
    def collector_env(self) -> dict[str, str]:
        """Nothing has to be set."""
        return {}

    def start(self) -> None:
        """There is nothing to start."""


def main() -> None:
    """Print one line for each target."""
    for name in sys.argv[1:] or MEASURES:
        server_type, target, send = MEASURES[name]
        with tempfile.TemporaryDirectory(prefix="flask-chest-targets-") as folder:
            line = _measure(Path(folder), server_type, target, send)
        print(f"{name:16} {line}", flush=True)


def _measure(folder: Path, server_type: Any, target: str, send: Callable[[str], None]) -> str:
    server = server_type(folder / "server")
    with server:
        empty_kib = _resident_kib(server.pid)
        with Collector(target, folder=folder / "collector", env=_variables(server)) as collector:
            send(collector.otlp_http)
            _wait_until_sent(collector)
            time.sleep(SETTLED_S)
            if isinstance(server, (Prometheus, VictoriaMetrics)):
                _holds(server)
            kib = _resident_kib(server.pid) - empty_kib
    mib = _bytes(server.folder) / 2**20
    file = folder / "collector" / "telemetry.jsonl"
    if file.exists():
        mib = file.stat().st_size / 2**20
    return f"disk {mib:8.1f} MiB   memory {kib / 1024:8.1f} MiB beside {empty_kib / 1024:.0f} MiB"


def _holds(server: Any) -> None:
    """Make sure that all series are there; a new point of VictoriaMetrics is to be seen after half a minute."""
    deadline = time.monotonic() + 60
    while server.query('count({__name__=~"flask_g_metric.*"})') != [COUNT]:
        if time.monotonic() > deadline:
            raise SystemExit("not all series came")
        time.sleep(1)


def _variables(server: Any) -> dict[str, str]:
    if isinstance(server, (Prometheus, VictoriaMetrics)):
        return {"PROMETHEUS_REMOTE_WRITE_URL": server.remote_write_url}
    return dict(server.collector_env)


def _wait_until_sent(collector: Collector) -> None:
    """Wait until nothing waits in any queue, several times in a row."""
    quiet = 0
    while quiet < QUIET:
        quiet = 0 if collector.own_metric("otelcol_exporter_queue_size") else quiet + 1
        time.sleep(1)


def _resident_kib(pid: int) -> int:
    if not pid:
        return 0
    [line] = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS")]
    return int(line.split()[1])


def _bytes(folder: Path) -> int:
    # The broker's jars are no data.
    files = (path for path in folder.rglob("*") if "jars" not in path.parts and path.name != "server.log")
    return sum(path.stat().st_blocks * 512 for path in files if path.is_file())


def _spans(url: str) -> None:
    random.seed(7)
    for start in range(0, COUNT, BATCH):

        def change(span: Any, number: int, start: int = start) -> None:
            set_attribute(span.attributes, "flask.request_id", f"{random.getrandbits(128):032x}")
            set_attribute(span.attributes, "http.route", f"/shop/{number % 20}/<int:item>")
            set_attribute(span.attributes, "http.request.method", "GET" if number % 3 else "POST")
            for one in range(7):
                text = f"text {one} {random.getrandbits(48):012x}"
                set_attribute(span.attributes, f"flask.g.variable_{one:010}", text)
            set_attribute(span.attributes, "flask.g.cart_total_of_shop", random.random() * (start + number))

        _sent(post(url, "traces", trace_request(BATCH, name="GET /shop", change=change)))


def _series(url: str) -> None:
    for _ in range(SAMPLES):
        for start in range(0, COUNT, BATCH):
            name = f"flask.g.metric_{start // BATCH}"
            _sent(post(url, "metrics", gauge_request(name, [random.random() for _ in range(BATCH)])))
        time.sleep(5)


def _lines(url: str) -> None:
    traffic = LogTraffic(url)
    # Each request logs three records.
    traffic.serve(1, COUNT // 3)


def _sent(status: int) -> None:
    if status != OK:
        raise SystemExit(f"the collector answered {status}")


MEASURES: dict[str, tuple[Any, str, Callable[[str], None]]] = {
    "clickhouse": (ClickHouse, "clickhouse", _spans),
    "kafka": (Kafka, "kafka", _spans),
    "file": (_NoServer, "file", _spans),
    "influxdb": (InfluxDB2, "influxdb", _spans),
    "victorialogs": (VictoriaLogs, "otlp", _lines),
    "prometheus": (Prometheus, "prometheus_remote_write", _series),
    "victoriametrics": (VictoriaMetrics, "prometheus_remote_write", _series),
}

if __name__ == "__main__":
    main()
