"""Totals in a real Prometheus while the application's workers are restarted under traffic."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.backends.collector import CONFIG, Collector
from tests.backends.prometheus import Prometheus
from tests.backends.require import require_built, require_installed
from tests.backends.server import free_port
from tests.backends.shop import Shop
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

RULES = CONFIG / "alerts" / "flask-chest-totals.rules.yaml"
COUNT, SECONDS = "http_server_request_duration_seconds_count", "http_server_request_duration_seconds_sum"
PLAIN = f"sum({COUNT})"
TOTAL = f"sum(last_over_time({COUNT}[30d]))"
AVERAGE = f"sum(last_over_time({SECONDS}[30d])) / {TOTAL}"
RECORDED = "sum(flask_chest:requests:total30d)"
RECORDED_AVERAGE = f"sum(flask_chest:request_seconds:total30d) / {RECORDED}"
EXPIRY = "exporters: {prometheus: {metric_expiration: 4s}}\n"
"""Instead of ten minutes, after which what a process had counted is no longer offered."""


@pytest.mark.parametrize("way", ["prometheus", "prometheus_remote_write"])
def test_totals_survive_the_workers(way: str, tmp_path: Path) -> None:
    """Restarted workers, a killed collector: query and recording rule know every request that was ever served."""
    require_built("flask-chest-collector")
    require_installed("prometheus", "prometheus")
    scraped = way == "prometheus"
    soon = tmp_path / "soon.yaml"
    soon.write_text(EXPIRY)
    address = f"127.0.0.1:{free_port()}"
    server = Prometheus(tmp_path / "server", scrape=address if scraped else None, rules=[RULES], lookback_s=5)
    env = {
        "PROMETHEUS_SCRAPE_PORT": address.rpartition(":")[2],
        "PROMETHEUS_REMOTE_WRITE_URL": server.remote_write_url,
    }
    collector = Collector(way, *([soon] if scraped else []), folder=tmp_path / "collector", env=env)
    with server, collector, Shop(tmp_path / "shop", collector.otlp_http) as shop:
        served = shop.visit(150)["total"]["transactions"]
        eventually(lambda: server.query(PLAIN), [served])
        served += visit_during_restart(shop)
        collector.kill9()
        collector.start()
        served += shop.visit(20)["total"]["transactions"]
        eventually(lambda: server.query(TOTAL), [served], within_s=30)
        # The workers of the beginning are no longer in a plain sum.
        eventually(lambda: server.query(f"{PLAIN} < bool {served - 100}"), [1.0], within_s=30)
        assert server.query(TOTAL) == [served]
        eventually(lambda: server.query(RECORDED), [served])
        assert server.query(RECORDED_AVERAGE) == [pytest.approx(server.query(AVERAGE)[0])]
        by_route = server.query("sum by (http_route) (flask_chest:requests:total30d)")
        assert len(by_route) > 3


def visit_during_restart(shop: Shop) -> int:
    """Send customers while the workers are replaced, twice; return how many requests were served."""
    with ThreadPoolExecutor() as pool:
        visit = pool.submit(shop.visit, 300)
        for restart in (1, 2):
            os.kill(shop.pid, signal.SIGHUP)
            started = (restart + 1) * shop.workers
            eventually(lambda: shop.log().count("Booting worker"), started)
        return int(visit.result()["total"]["transactions"])
