"""The add-ons: raw values, metrics from spans, TLS and token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from flask_chest_otel._collector import Composition, render
from tests.backends import jsonl
from tests.backends.certificates import certificate as make_certificate
from tests.backends.server import request
from tests.backends.traffic import Traffic, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace.export import SpanExporter

    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

TOKEN = "a-long-random-secret"  # noqa: S105 - of a server that lives for seconds


def test_raw_values(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Each request has one point with its value and its id in InfluxDB, unless its route is for somebody else."""
    collector = start_collector("influxdb", "raw_values", env=influxdb.collector_env)
    with Traffic(collector.otlp_http) as traffic:
        for number in range(50):
            traffic.request(f"r-{number}", {"cart_total": 1.5 * number})
        traffic.request("elsewhere", {"cart_total": 7.0}, chests="file")
        traffic.request("no-cart")
        traffic.flush()
        query = 'SELECT gauge, "flask.request_id" FROM cart_total'
        eventually(lambda: len(influxdb.influxql(query)), 50)
        found = {row["flask.request_id"]: row["gauge"] for row in influxdb.influxql(query)}
        assert found == {f"r-{number}": 1.5 * number for number in range(50)}


def test_metrics_from_spans(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Transactions and average response time are right although only spans were counted, and only server spans."""
    env = {**influxdb.collector_env, "CHEST_SPAN_METRICS_INTERVAL": "1s"}
    collector = start_collector("influxdb", "span_metrics", env=env)
    with Traffic(collector.otlp_http) as traffic:
        for number in range(50):
            traffic.request(f"r-{number}", duration_s=0.01 * (1 + number % 2))
            traffic.request(f"s-{number}", method="GET", duration_s=3.0)
        traffic.request("elsewhere", chests="file")
        traffic.flush()
        calls = 'SELECT sum(c) AS total FROM (SELECT last(counter) AS c FROM "chest.calls" GROUP BY *)'
        eventually(lambda: [row["total"] for row in influxdb.influxql(calls)], [100])
        [average] = influxdb.influxql(
            """SELECT sum(s) / sum(c) AS average FROM (SELECT last("sum") AS s, last("count") AS c
            FROM "chest.duration" WHERE "http.request.method" = 'POST' GROUP BY *)"""
        )
        assert average["average"] == pytest.approx(0.015)


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, str]:
    """Return the environment with a fresh certificate for 127.0.0.1."""
    path = str(make_certificate(tmp_path, "IP:127.0.0.1"))
    return {"CHEST_TLS_CERT": path, "CHEST_TLS_KEY": path, "CHEST_OTLP_TOKEN": TOKEN}


def send(exporter: SpanExporter, name: str) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("tests").start_span(name, kind=SpanKind.SERVER).end()
    provider.shutdown()


def test_only_with_token_and_tls(
    start_collector: StartCollector, certificate: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans with the token arrive by HTTP and gRPC; without it, with a wrong one or without TLS none does.

    What an add-on makes of them inside needs neither.
    """
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    text = render(Composition(("file",), secure=True, span_metrics=True))
    collector = start_collector(whole=text, env={**certificate, "CHEST_SPAN_METRICS_INTERVAL": "1s"})
    collector.scheme = "https"
    cert = certificate["CHEST_TLS_CERT"]
    url = f"{collector.otlp_http}/v1/traces"
    bearer = {"authorization": f"Bearer {TOKEN}"}
    send(HttpExporter(url, certificate_file=cert, timeout=3), "no token")
    send(HttpExporter(url, certificate_file=cert, headers={"authorization": "Bearer guess"}, timeout=3), "guess")
    assert request(url.replace("https", "http"), b"", headers={"Content-Type": "application/x-protobuf"})[0] == 400
    send(HttpExporter(url, certificate_file=cert, headers=bearer, timeout=5), "by http")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", cert)
    send(GrpcExporter(f"https://{collector.otlp_grpc}", timeout=3), "no token by grpc")
    send(GrpcExporter(f"https://{collector.otlp_grpc}", headers=bearer, timeout=5), "by grpc")
    path = collector.folder / "telemetry.jsonl"
    eventually(lambda: sorted(span["name"] for span in jsonl.spans(path)), ["by grpc", "by http"])
    eventually(lambda: max((int(one["asInt"]) for one in jsonl.points(path, "chest.calls")), default=0), 2)
