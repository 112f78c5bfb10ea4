"""Kafka over TLS, with certificates on both sides and a password: through it from one collector to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backends import jsonl
from tests.backends.certificates import authority
from tests.backends.kafka import LockedKafka
from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import require_built, require_installed
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.backends.collector import Collector
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LockedKafka]:
    """One broker for all tests."""
    require_installed("java", "default-jre-headless")
    require_installed("openssl", "openssl")
    require_built("kafka")
    with LockedKafka(tmp_path_factory.mktemp("locked") / "kafka") as broker:
        yield broker


def test_from_one_collector_to_another(kafka: LockedKafka, start_collector: StartCollector) -> None:
    """With the documented variables all spans of the first collector are in a target of the second one."""
    agent = start_collector("kafka", env={**kafka.collector_env, "CHEST_KAFKA_CHESTS": ".*"})
    gateway = start_collector("file", "kafka_consumer", env=kafka.collector_env)
    for _ in range(5):
        assert post(agent.otlp_http, "traces", trace_request(20, name="ours")) == 200
    path = gateway.folder / "telemetry.jsonl"
    # Another test may have left spans in the topic.
    eventually(lambda: len({span["spanId"] for span in jsonl.spans(path) if span["name"] == "ours"}), 100, within_s=60)


def refused(collector: Collector, words: str) -> None:
    """Hold that it says so, that nothing is lost and that nothing arrived."""
    assert post(collector.otlp_http, "traces", trace_request(7)) == 200
    eventually(lambda: words in collector.log(), expected=True, within_s=60)
    assert collector.own_metric("otelcol_exporter_sent_spans", exporter="kafka") == 0
    assert collector.own_metric("otelcol_exporter_send_failed_spans", exporter="kafka") == 0


def test_wrong_keys(kafka: LockedKafka, start_collector: StartCollector) -> None:
    """An authority of others, no certificate, a wrong password: the log says which, and the spans wait."""
    others = authority(kafka.folder, "others")
    wrong = {
        "certificate signed by unknown authority": {"KAFKA_TLS": kafka.tls(others)},
        "remote error: tls: ": {"KAFKA_TLS": kafka.tls(with_certificate=False)},
        "SASL_AUTHENTICATION_FAILED": {"KAFKA_AUTH": kafka.auth("guessed")},
    }
    collectors = {words: start_collector("kafka", env={**kafka.collector_env, **env}) for words, env in wrong.items()}
    for words, collector in collectors.items():
        refused(collector, words)
    mended = collectors["SASL_AUTHENTICATION_FAILED"]
    mended.stop()
    mended.env.update(kafka.collector_env)
    mended.start()
    eventually(lambda: mended.own_metric("otelcol_exporter_sent_spans", exporter="kafka"), 7, within_s=60)
