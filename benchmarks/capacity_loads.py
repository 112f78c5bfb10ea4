"""The loads that :mod:`benchmarks.capacity` measures its constants with, and those that it is held against.

Real servers, as far as this machine has room: collectors, a Kafka broker, InfluxDB. Processor time is read from
``/proc``, as it says little of whatever else the machine does; elapsed time says more of that than of anything here.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.capacity import KIB, Costs, Load, Way, span_bytes
from benchmarks.pipeline import OK, NotAllThereError, usage
from tests.backends.collector import Collector
from tests.backends.influxdb2 import InfluxDB2
from tests.backends.kafka import Kafka
from tests.backends.raw_otlp import post, trace_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.backends.server import Server

__all__ = ["hold"]

BATCH = 100
LEAN, RICH, USUAL = 0, 24, 10
"""Variables of a span: of the runs that constants come from, and of those that they are held against."""

TURNS = 2
"""How often each of the first is repeated, in turn with the others: the machine may be busy with something else."""

LAST_RETRY_S = 33.5
"""Until the last of ten writes that were refused is tried again: each waits for 30 s, half of it more or less."""

WITHIN_S = 900.0

CONVENTIONS = {
    "http.request.method": "POST",
    "url.scheme": "http",
    "http.route": "/cart/<int:cart_id>",
    "code.function.name": "shop.views.cart",
    "network.protocol.version": "1.1",
    "server.address": "shop.example.org",
    "server.port": "8000",
    "url.path": "/cart/4711",
    "client.address": "192.0.2.17",
    "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "http.response.status_code": "200",
}


def body(spans: int, variables: int) -> bytes:
    """An export request of server spans, each with its ids and so many variables."""
    found = {f"flask.g.variable_{number:02}": "a value of 20 letters" for number in range(variables)}
    request_id = {"flask.request_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    return trace_request(spans, CONVENTIONS | request_id | found, name="POST /cart/<int:cart_id>")


class Sent(NamedTuple):
    """What was sent."""

    spans: int
    size: int


class Chain:
    """Servers that run: the agents that are sent to, what stands behind them, and what writes into InfluxDB.

    Attributes:
        agents: Collectors beside applications.
        writers: Collectors that write into InfluxDB.
        influxdb: The target.
        kafka: Between agents and writers, or ``None``.
    """

    def __init__(
        self, agents: Sequence[Collector], writers: Sequence[Collector], influxdb: InfluxDB2, kafka: Kafka | None = None
    ) -> None:
        self.agents = agents
        self.writers = writers
        self.influxdb = influxdb
        self.kafka = kafka

    def send(self, spans: int, rate: float, variables: int) -> Sent:
        """Send at a steady rate, to the agents in turn."""
        start, size = time.monotonic(), 0
        for number in range(spans // BATCH):
            made = body(BATCH, variables)
            size += len(made)
            time.sleep(max(0.0, start + number * BATCH / rate - time.monotonic()))
            if post(self.agents[number % len(self.agents)].otlp_http, "traces", made) != OK:
                raise NotAllThereError("a collector refused a batch")
        return Sent(spans // BATCH * BATCH, size)

    def written(self) -> float:
        """Spans that InfluxDB has taken."""
        return sum(one.own_metric("otelcol_exporter_sent_spans", exporter="influxdb") for one in self.writers)

    def until(self, spans: float) -> float:
        """Wait until InfluxDB has taken so many; return how long that took."""
        start = time.monotonic()
        while self.written() < spans:
            if time.monotonic() - start > WITHIN_S:
                raise NotAllThereError(f"InfluxDB has taken {self.written():.0f} of {spans:.0f} spans")
            time.sleep(1.0)  # each look costs the collector some milliseconds
        return time.monotonic() - start


class Run(NamedTuple):
    """What one load took: seconds; processor time of agents and of writers, seconds; bytes in Kafka."""

    sent: Sent
    elapsed_s: float
    agents_s: float
    writers_s: float
    kafka_bytes: float


def run(chain: Chain, spans: int, rate: float, variables: int) -> Run:
    """Send, and wait until all is there."""
    known, start = chain.written(), time.monotonic()
    agents, writers, stored = _cpu_s(chain.agents), _cpu_s(chain.writers), _kafka_bytes(chain.kafka)
    sent = chain.send(spans, rate, variables)
    chain.until(known + sent.spans)
    return Run(
        sent,
        time.monotonic() - start,
        _cpu_s(chain.agents) - agents,
        _cpu_s(chain.writers) - writers,
        _kafka_bytes(chain.kafka) - stored,
    )


def _cpu_s(servers: Sequence[Server]) -> float:
    return sum(usage(server).cpu_s for server in servers)


def _kafka_bytes(kafka: Kafka | None) -> float:
    """Bytes in the partitions of spans."""
    if kafka is None:
        return 0.0
    return float(sum(path.stat().st_size for path in kafka.folder.glob("data/chest_spans-*/*.log")))


@contextmanager
def one_agent(folder: Path) -> Iterator[Chain]:
    """One collector that writes into InfluxDB."""
    with ExitStack() as stack:
        influxdb = stack.enter_context(InfluxDB2(folder / "influxdb"))
        made = Collector("influxdb", folder=folder / "collector", env=influxdb.collector_env)
        collector = stack.enter_context(made)
        yield Chain([collector], [collector], influxdb)


@contextmanager
def through_kafka(folder: Path) -> Iterator[Chain]:
    """Two agents, a broker, two gateways that share its topic, InfluxDB."""
    with ExitStack() as stack:
        influxdb = stack.enter_context(InfluxDB2(folder / "influxdb"))
        kafka = stack.enter_context(Kafka(folder / "kafka"))
        env = {**kafka.collector_env, **influxdb.collector_env}
        made = (Collector("kafka", folder=folder / f"agent{number}", env=env) for number in range(2))
        agents = [stack.enter_context(one) for one in made]
        made = (Collector("kafka_consumer", "influxdb", folder=folder / f"gateway{n}", env=env) for n in range(2))
        writers = [stack.enter_context(one) for one in made]
        yield Chain(agents, writers, influxdb, kafka)


def _measured(chain: Chain, rate: float, seconds: float) -> list[Run]:
    """The runs that constants come from: short spans, long ones, and short ones at four times the rate."""
    run(chain, int(rate * seconds / 4), rate, USUAL)  # everything is loaded, and has grown to its size
    spans = int(rate * seconds)
    turns = [
        (
            run(chain, spans, rate, LEAN),
            run(chain, spans, rate, RICH),
            run(chain, 2 * spans, 4 * rate, LEAN),
        )
        for _ in range(TURNS)
    ]
    return [_together(same) for same in zip(*turns, strict=True)]


def _together(runs: Sequence[Run]) -> Run:
    """Several runs as one."""
    sent = Sent(sum(one.sent.spans for one in runs), sum(one.sent.size for one in runs))
    times = (sum(each) for each in zip(*(one[1:] for one in runs), strict=True))
    return Run(sent, *times)


def _way(runs: list[Run], busy_s: list[float], collectors: int) -> Way:
    """What a collector takes at rest, for each span and for its bytes, from three runs: three equations."""
    lean, rich, fast = ([one.elapsed_s * collectors, one.sent.spans, one.sent.size / KIB] for one in runs)
    whole = _determinant(lean, rich, fast)
    found = []
    for column in range(3):
        rows = [[*row] for row in (lean, rich, fast)]
        for row, busy in zip(rows, busy_s, strict=True):
            row[column] = busy
        found.append(max(0.0, _determinant(*rows) / whole))
    at_rest, per_span, per_kib = found
    return Way(round(at_rest, 3), round(per_span * 1e6, 1), round(per_kib * 1e6, 1))


def _determinant(one: list[float], two: list[float], three: list[float]) -> float:
    """Of three rows."""
    (a, b, c), (d, e, f), (g, h, i) = one, two, three
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _cost_s(way: Way, found: Run, length: float, collectors: int) -> float:
    """What so many collectors should take for a run."""
    return way.at_rest * found.elapsed_s * collectors + way.cores(found.sent.spans, length)


def _beside(what: str, predicted: float, found: float, unit: str) -> None:
    off = (predicted / found - 1) * 100
    verdict = "" if abs(off) <= 20 else "   more than 20 % off"  # noqa: PLR2004 - the goal
    print(f"  {what:<44} {predicted:12.2f} {found:12.2f} {unit:<10} {off:+6.0f} %{verdict}", flush=True)


def hold(folder: Path, *, rate: float, outage_s: float, seconds: float = 20.0) -> Costs:
    """Measure the constants, run the three loads, print what was predicted beside what was found."""
    length = len(body(BATCH, LEAN)) / BATCH
    each = (len(body(BATCH, RICH)) / BATCH - length) / RICH
    costs = Costs(span_bytes=round(length, 1), variable_bytes=round(each, 1))
    usual = span_bytes(Load(rate, variables=USUAL), costs)
    spans = int(rate * 3 * seconds)
    print(f"  {'':<44} {'predicted':>12} {'found':>12}")
    with one_agent(folder / "one") as chain:
        runs = _measured(chain, rate, seconds)
        costs = costs._replace(to_influxdb=_way(runs, [one.agents_s for one in runs], 1))
        print(f"one agent, {rate * 2:.0f} spans/s of {usual:.0f} bytes")
        found = run(chain, spans, 2 * rate, USUAL)
        _beside("bytes sent", found.sent.spans * usual / 1e6, found.sent.size / 1e6, "MB")
        _beside("processor time of the agent", _cost_s(costs.to_influxdb, found, usual, 1), found.agents_s, "s")
        costs = outage(chain, costs, rate, outage_s)
    with through_kafka(folder / "kafka") as chain:
        runs = _measured(chain, rate, seconds)
        costs = costs._replace(
            to_kafka=_way(runs, [one.agents_s for one in runs], 2),
            from_kafka=_way(runs, [one.writers_s for one in runs], 2),
            kafka_share=round(sum(one.kafka_bytes for one in runs) / sum(one.sent.size for one in runs), 3),
        )
        print(f"two agents, Kafka, two gateways, {rate * 2:.0f} spans/s of {usual:.0f} bytes")
        found = run(chain, spans, 2 * rate, USUAL)
        _beside("processor time of the agents", _cost_s(costs.to_kafka, found, usual, 2), found.agents_s, "s")
        _beside("processor time of the gateways", _cost_s(costs.from_kafka, found, usual, 2), found.writers_s, "s")
        _beside("bytes in Kafka", found.sent.size * costs.kafka_share / 1e6, found.kafka_bytes / 1e6, "MB")
    return costs


def outage(chain: Chain, costs: Costs, rate: float, outage_s: float) -> Costs:
    """InfluxDB is away, for a fifth of the time first; then what waits is drained."""
    at_rest = costs.to_influxdb.at_rest
    first = _away(chain, rate, outage_s / 5)
    drain_us = max(0.0, first.cpu_s - at_rest * first.drain_s) / first.sent.spans * 1e6
    costs = costs._replace(queue_share=round(first.waiting / first.sent.size, 3), drain_us=round(drain_us, 1))
    print(f"an outage of {outage_s:.0f} s at {rate:.0f} spans/s")
    found = _away(chain, rate, outage_s)
    _beside("bytes that wait", found.sent.size * costs.queue_share / 1e6, found.waiting / 1e6, "MB")
    work_s = found.sent.spans * costs.drain_us / 1e6
    _beside("processor time to drain them", work_s + at_rest * found.drain_s, found.cpu_s, "s")
    _beside("drained after", max(LAST_RETRY_S, work_s), found.drain_s, "s")
    return costs._replace(memory_mib=round(usage(chain.agents[0]).rss_mib))


class Away(NamedTuple):
    """What an outage left: what was sent, bytes that waited; how long it took to write them, and what that cost."""

    sent: Sent
    waiting: float
    drain_s: float
    cpu_s: float


def _away(chain: Chain, rate: float, seconds: float) -> Away:
    [agent] = chain.agents
    known = chain.written()
    chain.influxdb.stop()
    sent = chain.send(int(rate * seconds), rate, USUAL)
    time.sleep(2)
    waiting = agent.own_metric("otelcol_exporter_queue_size")
    chain.influxdb.start()
    before = _cpu_s(chain.agents)
    drain_s = chain.until(known + sent.spans)
    return Away(sent, waiting, drain_s, _cpu_s(chain.agents) - before)
