"""The way to InfluxDB: requests/s, what the collector takes, how late an answer is. ``make bench-pipeline``.

The example shop under gunicorn with one worker, the bundled collector and InfluxDB 2.7, each held to one core, as
far as there are cores; the customers get the last one. Three measurements:

1. As many requests as the shop can answer; then how long InfluxDB needs to know every one of them.
2. Spans at a steady rate, made beforehand: processor time and memory of the collector.
3. Single requests: from the end of each to when InfluxDB answers it by its id.

What is sent is compared with what InfluxDB answers; a difference is an error, not a figure.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cores import LAST, on_core
from benchmarks.load import load
from tests.backends.collector import Collector
from tests.backends.influxdb2 import InfluxDB2
from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import EXIT_MISSING, MissingError
from tests.backends.server import request
from tests.backends.shop import Shop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.backends.server import Server

SPANS = "SELECT count(duration_nano) AS spans FROM spans WHERE \"service.name\" = '{}'"
IDS = 'SELECT duration_nano, "flask.request_id" AS id FROM spans WHERE "service.name" = \'{}\''
BY_HAND = "by-hand"
"""Service name of spans that no shop has made."""

ATTRIBUTES = {f"flask.g.variable_{number}": "a value of some length" for number in range(10)}
BATCH = 100
CLIENTS = 4
WITHIN_S = 120.0
OK = 200
EVERY_MINUTE = {"OTEL_METRIC_EXPORT_INTERVAL": "60000"}
"""The default, which the tests' shop shortens."""


class NotAllThereError(RuntimeError):
    """InfluxDB does not answer what was sent: no figure means anything then."""


@dataclass(frozen=True)
class Usage:
    """What a process has used so far."""

    cpu_s: float
    rss_mib: float


def usage(server: Server) -> Usage:
    """Read it from /proc: user and system time of all threads, resident memory."""
    process = Path("/proc") / str(server.pid)
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    resident = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), int(resident.split()[1]) / 1024)


@dataclass
class Way:
    """The servers, all running."""

    influxdb: InfluxDB2
    collector: Collector

    def spans(self, service: str) -> int:
        """How many spans of a service InfluxDB knows."""
        rows = self.influxdb.influxql(SPANS.format(service))
        return int(rows[0]["spans"]) if rows else 0

    def until(self, service: str, spans: int) -> float:
        """Wait until InfluxDB knows so many; return how long that took.

        Raises:
            NotAllThereError: It did not come to know them.
        """
        start = time.monotonic()
        while self.spans(service) < spans:
            if time.monotonic() - start > WITHIN_S:
                raise NotAllThereError(f"{spans} spans of {service} were sent, InfluxDB knows {self.spans(service)}")
            time.sleep(0.05)
        return time.monotonic() - start


@contextmanager
def shop_of(folder: Path, way: Way, name: str, env: Mapping[str, str]) -> Iterator[Shop]:
    """A shop with one worker on the first core, under a service name of its own."""
    with ExitStack() as stack:
        with on_core(0):
            shop = Shop(folder / name, way.collector.otlp_http, workers=1, env={"OTEL_SERVICE_NAME": name, **env})
            stack.enter_context(shop)
        yield shop


def throughput(folder: Path, way: Way, seconds: float) -> list[str]:
    """Answer as many requests as it can, and wait for InfluxDB."""
    with shop_of(folder, way, "busy", EVERY_MINUTE) as shop:
        before, start = usage(way.collector), time.monotonic()
        with on_core(LAST):
            served = load(shop.url, seconds, CLIENTS)
        took = time.monotonic() - start
        after = usage(way.collector)
        shop.stop()
    late = way.until("busy", served)
    if way.spans("busy") != served:
        raise NotAllThereError(f"{served} requests were served, InfluxDB knows {way.spans('busy')}")
    return [
        f"requests/s served                          {served / seconds:10.0f}",
        f"requests served, all of them in InfluxDB   {served:10d}",
        f"  the last of them so long after the end   {late:10.2f} s",
        f"collector meanwhile                        {100 * (after.cpu_s - before.cpu_s) / took:10.1f} % of a core",
    ]


def cost(way: Way, rate: int, seconds: float) -> str:
    """Send spans at a steady rate, and look what the collector uses until InfluxDB has them all."""
    bodies = [trace_request(BATCH, ATTRIBUTES) for _ in range(int(rate * seconds) // BATCH)]
    known = way.spans(BY_HAND)
    before, start = usage(way.collector), time.monotonic()
    for number, body in enumerate(bodies):
        time.sleep(max(0.0, start + number * BATCH / rate - time.monotonic()))
        if post(way.collector.otlp_http, "traces", body) != OK:
            raise NotAllThereError("the collector refused a batch")
    took = time.monotonic() - start + way.until(BY_HAND, known + len(bodies) * BATCH)
    after = usage(way.collector)
    sent = len(bodies) * BATCH
    per_thousand = (after.cpu_s - before.cpu_s) / sent * 1000
    return f"{rate:8d} {sent / took:10.0f} {100 * per_thousand:26.2f} {after.rss_mib:12.0f}"


def delay(folder: Path, way: Way, durability: str, probes: int) -> str:
    """Send single requests and ask for each by its id until it is there."""
    ended: dict[str, float] = {}
    delays: dict[str, float] = {}
    env = EVERY_MINUTE | {"FLASK_CHEST_DURABILITY": durability}
    with shop_of(folder, way, durability, env) as shop:
        deadline = time.monotonic() + WITHIN_S
        while len(delays) < probes:
            if len(ended) < probes:
                request_id = f"{durability}-{len(ended)}"
                status, _ = request(f"{shop.url}/", headers={"X-Request-ID": request_id})
                ended[request_id] = time.monotonic()
                if status != OK:
                    raise NotAllThereError(f"the shop answered {status}")
            known = {str(row["id"]) for row in way.influxdb.influxql(IDS.format(durability))}
            now = time.monotonic()
            delays |= {one: now - ended[one] for one in known - set(delays)}
            if now > deadline:
                raise NotAllThereError(f"{probes} requests were served, InfluxDB knows {len(delays)}")
            time.sleep(0.02)
    found = sorted(delays.values())
    p99 = found[min(len(found) - 1, round(0.99 * len(found)))]
    return f"{durability:>10} {statistics.median(found):10.3f} s {p99:10.3f} s {found[-1]:10.3f} s"


def run(
    folder: Path, *, seconds: float, rates: list[int], probes: int, durabilities: tuple[str, ...] = ("batch", "request")
) -> Iterator[str]:
    """Measure everything; the lines of the report."""
    with ExitStack() as stack:
        cores = []
        with on_core(2) as core:
            influxdb = stack.enter_context(InfluxDB2(folder / "influxdb"))
            cores.append(f"InfluxDB {core}")
        with on_core(1) as core:
            env = influxdb.collector_env
            collector = stack.enter_context(Collector("influxdb", folder=folder / "collector", env=env))
            cores.append(f"collector {core}")
        way = Way(influxdb, collector)
        with on_core(0) as core:
            cores.append(f"shop {core}")
        last = max(os.sched_getaffinity(0))
        yield f"cores: {', '.join(reversed(cores))}, customers {last}; load average {os.getloadavg()[0]:.1f}"
        yield ""
        yield from throughput(folder, way, seconds)
        yield ""
        yield f"{'spans/s':>8} {'reached':>10} {'% of a core, 1000 spans/s':>26} {'memory, MiB':>12}"
        for rate in rates:
            yield cost(way, rate, seconds)
        yield ""
        yield f"{'durability':>10} {'median':>12} {'p99':>12} {'longest':>12}  until InfluxDB answers it"
        for durability in durabilities:
            yield delay(folder, way, durability, probes)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement (default: %(default)s)")
    parser.add_argument("--rates", type=int, nargs="+", default=[1000, 5000, 10000], help="spans/s")
    parser.add_argument("--probes", type=int, default=300, help="single requests (default: %(default)s)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flask-chest-bench-") as folder:
        try:
            for line in run(Path(folder), seconds=given.seconds, rates=given.rates, probes=given.probes):
                print(line, flush=True)
        except MissingError as error:
            print(error, file=sys.stderr)
            return EXIT_MISSING
    return 0


if __name__ == "__main__":
    sys.exit(main())
