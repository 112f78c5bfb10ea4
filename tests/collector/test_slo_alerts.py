"""From the shop's failures to the call that wakes somebody: collector, Prometheus, Alertmanager, webhook, all real."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends.alertmanager import Alertmanager, Webhook
from tests.backends.collector import CONFIG, Collector
from tests.backends.prometheus import Prometheus
from tests.backends.require import REPOSITORY, require_built, require_installed
from tests.backends.server import free_port, request
from tests.backends.shop import Shop
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.real

ALERTMANAGER = CONFIG / "alerts" / "alertmanager.yml"
JSON = {"Content-Type": "application/json"}


def test_alertmanager_takes_its_configuration() -> None:
    """Alertmanager's own tool finds nothing to say against it."""
    tool = require_installed("amtool", "prometheus-alertmanager")
    subprocess.run([str(tool), "check-config", str(ALERTMANAGER)], check=True, capture_output=True)


def render(folder: Path) -> list[Path]:
    """The shop's rules, an hour of which is a minute."""
    flask = [str(Path(sys.executable).with_name("flask")), "--app", "examples.shop.app:create_app"]
    command = [*flask, "chest", "slo", "render", "--target", "prometheus", "--shorten", "60", "-o", str(folder)]
    subprocess.run([*command, "--service", "shop"], cwd=REPOSITORY, env={**os.environ}, check=True)
    return sorted(folder.iterdir())


def soon(webhook: Webhook) -> str:
    """The configuration, with short waiting and another address."""
    text = re.sub(r"^( +(?:group_wait|group_interval): ).+$", r"\g<1>1s", ALERTMANAGER.read_text(), flags=re.MULTILINE)
    return text.replace("127.0.0.1:9095", webhook.address)


@contextmanager
def orders(shop: Shop, item: str) -> Iterator[None]:
    """Customers who order, thirty a second at most, while the block runs; who orders a tray gets a 500."""
    done = threading.Event()
    body = f'{{"items": ["{item}"], "plan": "free", "card_number": "4111"}}'.encode()

    def order() -> None:
        while not done.wait(0.03):
            request(f"{shop.url}/checkout", body, headers=JSON)

    customers = threading.Thread(target=order)
    customers.start()
    try:
        yield
    finally:
        done.set()
        customers.join()


def heard(webhook: Webhook, path: str, status: str) -> list[dict[str, Any]]:
    """What came to one of the receivers, about the shop's checkout."""
    alerts = [alert for to, alert in list(webhook.alerts) if to == path and alert["status"] == status]
    return [alert for alert in alerts if alert["labels"]["slo"] == "checkout"]


@pytest.mark.parametrize("way", ["prometheus", "prometheus_remote_write"])
def test_from_failures_to_a_call(way: str, tmp_path: Path) -> None:
    """Nobody is called while all is well; when checkouts fail somebody is, with labels and a runbook; and it ends."""
    require_built("flask-chest-collector")
    require_installed("prometheus", "prometheus")
    require_installed("prometheus-alertmanager", "prometheus-alertmanager")
    rules = render(tmp_path / "rules")
    scrape = f"127.0.0.1:{free_port()}"
    with Webhook() as webhook, Alertmanager(tmp_path / "alertmanager", soon(webhook)) as manager:
        server = Prometheus(
            tmp_path / "prometheus",
            scrape=scrape if way == "prometheus" else None,
            plain_rules=rules,
            alertmanager=manager.address,
            lookback_s=5,
        )
        env = {
            "PROMETHEUS_SCRAPE_PORT": scrape.partition(":")[2],
            "PROMETHEUS_REMOTE_WRITE_URL": server.remote_write_url,
        }
        collector = Collector(way, folder=tmp_path / "collector", env=env)
        with server, collector, Shop(tmp_path / "shop", collector.otlp_http) as shop:
            with orders(shop, "tea"):
                count = 'flask_chest:slo_requests:total1h{flask_chest_slo_name="checkout"} > bool 150'
                eventually(lambda: server.query(count), [1.0], within_s=60)
            assert webhook.alerts == []
            with orders(shop, "tray"):
                eventually(lambda: len(heard(webhook, "/page", "firing")) > 0, expected=True, within_s=60)
            alert = heard(webhook, "/page", "firing")[0]
            about = {name: alert["labels"][name] for name in ("severity", "service", "slo", "job")}
            assert about == {"severity": "page", "service": "shop", "slo": "checkout", "job": "shop"}
            assert alert["annotations"]["runbook_url"].startswith("docs/how-to/objectives.md#flaskchestslopage")
            with orders(shop, "tea"):
                eventually(lambda: len(heard(webhook, "/page", "resolved")) > 0, expected=True, within_s=90)
