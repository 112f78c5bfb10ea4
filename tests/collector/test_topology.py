"""`collector-config/deploy/kubernetes` as processes: agents → Kafka → routers → gateways → InfluxDB, under load."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from examples.shop import traffic
from flask_chest_otel._collector import Composition, render
from tests.backends import jsonl
from tests.backends.collector import CONFIG, Collector
from tests.backends.gateways import NAME, Names, Router, Trace, Traces, fates
from tests.backends.kafka import Kafka
from tests.backends.log_traffic import LogTraffic
from tests.backends.pipeline import TRANSACTIONS
from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import require_built, require_installed
from tests.backends.server import free_port
from tests.backends.shop import Shop
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.backends.influxdb2 import InfluxDB2

pytestmark = pytest.mark.real

KUBERNETES = CONFIG / "deploy" / "kubernetes"
SPANS = 'SELECT "flask.request_id", duration_nano FROM spans'


@dataclass
class Topology:
    """Every collector of it, all running."""

    agents: list[Collector]
    routers: list[Collector]
    gateways: list[Collector]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker for all tests, which have topics of their own."""
    require_installed("java", "default-jre-headless")
    require_built("kafka")
    with Kafka(tmp_path_factory.mktemp("topology") / "kafka") as broker:
        yield broker


@contextmanager
def two_of_each(
    kafka: Kafka, folder: Path, env: Mapping[str, str], gateway: Path = KUBERNETES / "collector-gateway.yaml"
) -> Iterator[Topology]:
    """Run two of each role with the configuration that the Kubernetes manifests give them."""
    require_built("flask-chest-collector")

    def two(role: str, config: Path, **more: str) -> list[Collector]:
        every = {**kafka.collector_env, **env, "CHEST_KAFKA_CHESTS": ".*", **more}
        return [Collector(folder=folder / f"{role}{number}", env=every, whole=config) for number in range(2)]

    gateways = two("gateway", gateway)
    addresses = ", ".join(f'"{one.otlp_grpc}"' for one in gateways)
    where = f"{{static: {{hostnames: [{addresses}]}}}}"
    routers = two("router", KUBERNETES / "collector-router.yaml", CHEST_GATEWAYS=where)
    agents = two("agent", KUBERNETES / "collector-agent.yaml")
    with ExitStack() as stack:
        for server in (*gateways, *routers, *agents):
            stack.enter_context(server)
        yield Topology(agents, routers, gateways)


class Customers:
    """Customers of one shop, without a pause until they are told to go home."""

    def __init__(self, shop: Shop, steps: Sequence[traffic.Step]) -> None:
        self.served: list[tuple[traffic.Step, traffic.Answer]] = []
        self._done = threading.Event()
        self._send, self._steps = traffic.over_http(shop.url), steps
        self._thread = threading.Thread(target=self._come)
        self._thread.start()

    def _come(self) -> None:
        for step in self._steps:
            if self._done.wait(0.01):
                return
            self.served.append((step, self._send(step)))

    def leave(self) -> list[tuple[traffic.Step, traffic.Answer]]:
        """Send them home; return what was recorded."""
        self._done.set()
        self._thread.join()
        assert len(self.served) < len(self._steps), "they ran out of wishes before the end"
        return [(step, answer) for step, answer in self.served if step.recorded]


def test_gateway_and_broker_die_under_load(kafka: Kafka, influxdb: InfluxDB2, tmp_path: Path) -> None:
    """Of all that two shops serve while a gateway and then the broker are killed, InfluxDB has each request once."""
    steps = traffic.plan(20_000)
    with two_of_each(kafka, tmp_path, influxdb.collector_env) as topology, ExitStack() as stack:
        shops = [
            stack.enter_context(Shop(tmp_path / f"shop{number}", agent.otlp_http, workers=1))
            for number, agent in enumerate(topology.agents)
        ]
        customers = [Customers(shop, steps[number::2]) for number, shop in enumerate(shops)]
        for one in customers:
            stack.callback(one.leave)
        eventually(lambda: len(influxdb.influxql(SPANS)) > 100, expected=True, within_s=40)
        victim = topology.gateways[0]
        assert victim.own_metric("otelcol_receiver_accepted_spans") > 0
        victim.kill9()
        time.sleep(2)
        victim.start()
        time.sleep(2)
        kafka.kill9()
        time.sleep(2)
        kafka.start()
        time.sleep(2)
        served = [entry for one in customers for entry in one.leave()]
        for shop in shops:
            shop.stop()
        expected = Counter((step.method, step.route or "") for step, _ in served)
        assert len(served) > 500
        ids = Counter(str(answer.request_id) for _, answer in served)

        def answered() -> Counter[tuple[str, str]]:
            rows = influxdb.influxql(TRANSACTIONS)
            return Counter({(row["http.request.method"], row["http.route"]): int(row["transactions"]) for row in rows})

        def arrived() -> Counter[str]:
            return Counter(str(row["flask.request_id"]) for row in influxdb.influxql(SPANS))

        eventually(lambda: ids - arrived(), Counter(), within_s=60)
        assert arrived() == ids
        eventually(answered, expected, within_s=30)
        # Both gateways took part, also the one that had died.
        assert all(gateway.own_metric("otelcol_receiver_accepted_spans") > 0 for gateway in topology.gateways)


def half_of_a_trace(part: str, failed: set[str]) -> Callable[[Any, int], None]:
    """Make the spans of a request one half of traces whose ids are their numbers."""

    def change(span: Any, number: int) -> None:
        span.trace_id, span.name = (number + 1).to_bytes(16, "big"), part
        if part == "second" and number % 4 == 0:
            span.status.code = 2
            failed.add(span.trace_id.hex())

    return change


def test_whole_traces_are_kept_behind_kafka(kafka: Kafka, tmp_path: Path) -> None:
    """Halves of 200 traces come through different agents: of each with an error one gateway keeps both halves."""
    config = tmp_path / "gateway.yaml"
    config.write_text(render(Composition(("file",), tail_sampling=True)))
    env = {
        "CHEST_KEEP_PERCENT": "0",
        "CHEST_SAMPLING_WAIT": "6s",
        "KAFKA_TRACES_TOPIC": "t",
        "KAFKA_METRICS_TOPIC": "m",
    }
    failed: set[str] = set()
    with two_of_each(kafka, tmp_path, {**env, "KAFKA_GROUP": "sampling"}, config) as topology:
        for agent, part in zip(topology.agents, ("first", "second"), strict=True):
            body = trace_request(200, change=half_of_a_trace(part, failed))
            assert post(agent.otlp_http, "traces", body) == 200

        def kept() -> list[Counter[str]]:
            paths = [gateway.folder / "telemetry.jsonl" for gateway in topology.gateways]
            return [Counter(span["traceId"] for span in jsonl.spans(path)) for path in paths]

        eventually(lambda: sum(found.total() for found in kept()), 100, within_s=60)
        first, second = kept()
        assert first + second == Counter(dict.fromkeys(failed, 2))
        assert not set(first) & set(second)
        assert first
        assert second


def test_log_records_come_through(kafka: Kafka, influxdb: InfluxDB2, tmp_path: Path) -> None:
    """What both agents take is in InfluxDB, each record once, and those of one trace came by one gateway."""
    env = {**influxdb.collector_env, "KAFKA_LOGS_TOPIC": "lines", "KAFKA_GROUP": "lines"}
    with two_of_each(kafka, tmp_path, env) as topology:
        for first, agent in ((1, topology.agents[0]), (101, topology.agents[1])):
            LogTraffic(agent.otlp_http).serve(first, first + 99)
        eventually(
            lambda: [row["n"] for row in influxdb.influxql("SELECT count(body) AS n FROM logs")], [600], within_s=60
        )
        took = [one.own_metric("otelcol_receiver_accepted_log_records", receiver="otlp") for one in topology.gateways]
        assert sum(took) == 600
        # Three records have one trace.
        assert [number % 3 for number in took] == [0, 0]
        assert min(took) > 0


class Changing:
    """Two gateways at first, of which routers learn by name, as in Kubernetes; a third one comes and goes."""

    WAIT_S = 10
    """The default of CHEST_SAMPLING_WAIT."""

    def __init__(self, kafka: Kafka, folder: Path, stack: ExitStack) -> None:
        config = folder / "gateway.yaml"
        config.write_text(render(Composition(("file",), tail_sampling=True)))
        topics = {f"KAFKA_{signal}_TOPIC": f"changing_{signal}" for signal in ("TRACES", "METRICS", "LOGS")}
        every = {**kafka.collector_env, **topics, "CHEST_KAFKA_CHESTS": ".*", "KAFKA_GROUP": "changing"}
        port = str(free_port())
        where = f'{{dns: {{hostname: {NAME}, port: "{port}", interval: 1s}}}}'
        sampling = {"CHEST_KEEP_PERCENT": "20", "CHEST_SLOW_MS": "60000", "CHEST_SAMPLING_WAIT": f"{self.WAIT_S}s"}
        self.addresses = [f"127.0.0.{number}" for number in (2, 3, 4)]
        self.gateways = [
            Collector(
                folder=folder / address,
                env={**every, **sampling, "CHEST_OTLP_HOST": address, "CHEST_OTLP_GRPC_PORT": port},
                whole=config,
            )
            for address in self.addresses
        ]
        self._names = Names(folder / "hosts")
        self._names.say(self.addresses[:2])
        self.routers = [
            Router(
                self._names,
                folder=folder / f"router{number}",
                env={**every, "CHEST_GATEWAYS": where},
                whole=KUBERNETES / "collector-router.yaml",
            )
            for number in range(2)
        ]
        self.agent = Collector(folder=folder / "agent", env=every, whole=KUBERNETES / "collector-agent.yaml")
        for server in (*self.gateways[:2], *self.routers, self.agent):
            stack.enter_context(server)
        self.changes: list[tuple[float, float]] = []

    def announce(self, number: int, then: Callable[[], None] = lambda: None) -> None:
        """Let the name have so many addresses, and wait until the routers know; spans are on their way for a while."""
        begin = time.monotonic()
        self._names.say(self.addresses[:number])
        then()
        eventually(lambda: [one.knows() for one in self.routers], [number, number], within_s=30)
        self.changes.append((begin - 2, time.monotonic() + 1))

    def kept(self) -> Counter[tuple[str, str]]:
        """Return what arrived: trace and name of every span."""
        paths = [gateway.folder / "telemetry.jsonl" for gateway in self.gateways]
        return Counter((span["traceId"], span["name"]) for path in paths for span in jsonl.spans(path))

    def grow_and_shrink(self) -> list[Trace]:
        """Go from two gateways to three and back under traffic; return the traces that were sent."""
        traces = Traces(self.agent.otlp_http, (0, 1.5, 2 * self.WAIT_S))
        eventually(lambda: sum(accepted_spans(one) for one in self.gateways[:2]) > 0, expected=True, within_s=60)
        time.sleep(2)
        leaving = self.gateways[2]
        leaving.start()
        self.announce(3)
        time.sleep(2.5 * self.WAIT_S)
        # It gets its signal while routers send to it.
        self.announce(2, leaving.stop)
        time.sleep(self.WAIT_S)
        sent = traces.stop()
        time.sleep(2 * self.WAIT_S)
        with leaving:
            # What it had decided at its end was on its disk.
            eventually(lambda: leaving.own_metric("otelcol_exporter_queue_size"), 0)
            time.sleep(1)
        return sent


def accepted_spans(collector: Collector) -> float:
    return collector.own_metric("otelcol_receiver_accepted_spans", receiver="otlp")


@pytest.mark.alone
def test_the_number_of_gateways_changes(kafka: Kafka, tmp_path: Path) -> None:
    """From two gateways to three and back: no error is lost, and only traces in flight are kept in part."""
    require_built("flask-chest-collector")
    with ExitStack() as stack:
        topology = Changing(kafka, tmp_path, stack)
        traces = topology.grow_and_shrink()
        kept = topology.kept()
    failing, well = ([one for one in traces if (one.failing is not None) is fails] for fails in (True, False))
    in_flight, others = (
        [one for one in failing if one.crosses(topology.changes) is crosses] for crosses in (True, False)
    )
    assert set(fates(others, kept)) == {"whole"}
    # Routers wait some five seconds for a gateway that has gone, less than a decision does.
    assert [one for one in failing if (one.id.hex(), one.failing) not in kept] == []
    # The share is decided by the trace's id: all gateways decide alike.
    assert set(fates(well, kept)) == {"whole", "none"}
    # A third of the ids moves, and of those in flight most have a part that was alone.
    found = fates(in_flight, kept)
    assert 0 < found["in part"] < found.total() / 3, found
