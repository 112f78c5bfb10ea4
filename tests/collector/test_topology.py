"""`collector-config/deploy/kubernetes` as processes: agents → Kafka → routers → gateways → InfluxDB, under load."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from examples.shop import traffic
from tests.backends.collector import CONFIG, Collector
from tests.backends.influxdb2 import InfluxDB2
from tests.backends.kafka import Kafka
from tests.backends.pipeline import TRANSACTIONS
from tests.backends.require import require_built, require_installed
from tests.backends.shop import Shop
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.real

KUBERNETES = CONFIG / "deploy" / "kubernetes"
SPANS = 'SELECT "flask.request_id", duration_nano FROM spans'


@dataclass
class Topology:
    """Every process of it, all running."""

    kafka: Kafka
    influxdb: InfluxDB2
    agents: list[Collector]
    routers: list[Collector]
    gateways: list[Collector]


def two(role: str, folder: Path, env: dict[str, str], *, whole: Path | None = None) -> list[Collector]:
    config = whole or KUBERNETES / f"collector-{role}.yaml"
    return [Collector(folder=folder / f"{role}{number}", env=env, whole=config) for number in range(2)]


@pytest.fixture
def topology(tmp_path: Path) -> Iterator[Topology]:
    """Two of each role with the configuration that the Kubernetes manifests give them."""
    require_installed("java", "default-jre-headless")
    for program in ("flask-chest-collector", "influxd", "kafka"):
        require_built(program)
    kafka, influxdb = Kafka(tmp_path / "kafka"), InfluxDB2(tmp_path / "influxdb")
    gateways = two("gateway", tmp_path, dict(influxdb.collector_env))
    addresses = ", ".join(f'"{gateway.otlp_grpc}"' for gateway in gateways)
    places = {**kafka.collector_env, "CHEST_GATEWAYS": f"{{static: {{hostnames: [{addresses}]}}}}"}
    routers = two("router", tmp_path, places)
    agents = two("agent", tmp_path, {**kafka.collector_env, "CHEST_KAFKA_CHESTS": "kafka|influxdb"})
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        servers = [kafka, influxdb, *gateways, *routers, *agents]
        for server in (kafka, influxdb, *gateways, *routers, *agents):
            # In the order in which they stop: agents first, Kafka last.
            stack.callback(server.stop)
        list(pool.map(lambda server: server.start(), servers))
        yield Topology(kafka, influxdb, agents, routers, gateways)


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


def test_gateway_and_broker_die_under_load(topology: Topology, tmp_path: Path) -> None:
    """Of all that two shops serve while a gateway and then the broker are killed, InfluxDB has each request once."""
    steps = traffic.plan(20_000)
    with ExitStack() as stack:
        shops = [
            stack.enter_context(Shop(tmp_path / f"shop{number}", agent.otlp_http, workers=1))
            for number, agent in enumerate(topology.agents)
        ]
        customers = [Customers(shop, steps[number::2]) for number, shop in enumerate(shops)]
        for one in customers:
            stack.callback(one.leave)
        eventually(lambda: len(topology.influxdb.influxql(SPANS)) > 100, expected=True, within_s=40)
        victim = topology.gateways[0]
        assert victim.own_metric("otelcol_receiver_accepted_spans") > 0
        victim.kill9()
        time.sleep(3)
        victim.start()
        time.sleep(2)
        topology.kafka.kill9()
        time.sleep(3)
        topology.kafka.start()
        time.sleep(2)
        served = [entry for one in customers for entry in one.leave()]
        for shop in shops:
            shop.stop()
    expected = Counter((step.method, step.route or "") for step, _ in served)
    assert len(served) > 500
    ids = Counter(str(answer.request_id) for _, answer in served)

    def answered() -> Counter[tuple[str, str]]:
        rows = topology.influxdb.influxql(TRANSACTIONS)
        return Counter({(row["http.request.method"], row["http.route"]): int(row["transactions"]) for row in rows})

    def arrived() -> Counter[str]:
        return Counter(str(row["flask.request_id"]) for row in topology.influxdb.influxql(SPANS))

    eventually(lambda: ids - arrived(), Counter(), within_s=60)
    assert arrived() == ids
    eventually(answered, expected, within_s=30)
    # Both gateways took part, also the one that had died.
    assert all(gateway.own_metric("otelcol_receiver_accepted_spans") > 0 for gateway in topology.gateways)
