"""`aws.yaml` on moto's server: what CloudWatch Logs and X-Ray hold afterwards."""

from __future__ import annotations

import base64
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from flask import Flask, g
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.trace import NoOpTracerProvider

from flask_chest_otel import FlaskChest, TrackedVar, count_failures, count_requests, flask_chest
from flask_chest_otel._cli.collector import command
from tests.backends import jsonl
from tests.backends.aws import Aws
from tests.backends.log_traffic import LogTraffic
from tests.backends.moody import Moody
from tests.backends.require import require_module
from tests.backends.traffic import DURATION, NEVER_MS, Traffic, eventually
from tests.collector.test_refusals import letters

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.collector import Collector
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

ROUTE = "/<int:number>"


def test_answers_what_was_served_through_an_outage(start_collector: StartCollector, tmp_path: Path) -> None:
    """Transactions and response time of POST add up in CloudWatch, and X-Ray finds a request's variables.

    AWS is away at first and the collector is killed meanwhile.
    """
    require_module("moto.server", "moto[server]")
    aws = Aws(tmp_path / "aws")
    collector = start_collector("aws", "file", env=aws.collector_env)
    with Traffic(collector.otlp_http) as traffic:
        for number in range(50):
            traffic.request(f"r-{number}", {"cart_total": 1.5 * number}, duration_s=0.01 * (1 + number % 2))
            traffic.request(f"s-{number}", method="GET", duration_s=3.0)
        traffic.request("elsewhere", {"cart_total": 1.0}, chests="file", method="GET")
        traffic.flush()
        path = collector.folder / "telemetry.jsonl"
        eventually(lambda: len(jsonl.spans(path)), 202)
        collector.kill9()
        collector.start()
        traces = {span["attributes"].get("flask.request_id"): span["traceId"] for span in jsonl.spans(path)}
        with aws:
            posts = {"http.request.method": "POST"}
            eventually(lambda: total(aws, DURATION, "Count"), 101, within_s=60)
            assert total(aws, DURATION, "Count", posts) == 50
            assert total(aws, DURATION, "Sum", posts) == pytest.approx(50 * 0.015)
            assert total(aws, "flask.g.cart_total", "Count") == 50
            eventually(lambda: bool(aws.segments([traces["r-10"]])), expected=True)
            kept = next(one for one in aws.segments([traces["r-10"]]) if "annotations" in one)
            assert kept["annotations"]["flask.request_id"] == "r-10"
            assert kept["metadata"]["default"]["flask.g.cart_total"] == 15.0
            assert aws.segments([traces["elsewhere"]]) == []


@pytest.mark.parametrize("refusal", ["UnrecognizedClientException", "AccessDeniedException", "ThrottlingException"])
def test_what_somebody_can_mend_is_asked_again(start_collector: StartCollector, tmp_path: Path, refusal: str) -> None:
    """While AWS refuses credentials, rights or quota, spans and metrics wait; they arrive when that is mended."""
    require_module("moto.server", "moto[server]")
    aws = Aws(tmp_path / "aws")
    collector = start_collector("aws", "file", env=aws.collector_env)
    path = collector.folder / "telemetry.jsonl"
    with Moody(400, port=aws.port) as refusing, Traffic(collector.otlp_http) as traffic:
        refusing.headers = {"X-Amzn-ErrorType": refusal}
        traffic.request("r-1", {"cart_total": 1.5})
        traffic.flush()
        for name in ("awsxray", "awsemf"):
            labels = {"exporter": name, "kept": "queue", "status": "400"}
            eventually(partial(refused_by, collector, labels), expected=True, within_s=40)
        # Connections that are open would be answered on.
        refusing.mood = "reset"
    traces = sorted({span["traceId"] for span in jsonl.spans(path)})
    with aws:
        eventually(lambda: total(aws, "flask.g.cart_total", "Count"), 1, within_s=120)
        eventually(lambda: bool(aws.segments(traces)), expected=True, within_s=120)
    assert collector.own_metric("otelcol_chest_target_refusals", kept="lost") == 0


def test_what_is_refused_for_its_content_is_kept(
    start_collector: StartCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans, points and log records that AWS refuses are in a file as OTLP, and `resend` brings them in, once each."""
    require_module("moto.server", "moto[server]")
    aws = Aws(tmp_path / "aws")
    collector = start_collector("aws", env=aws.collector_env)
    kept = partial(letters, collector)
    with Moody(400, port=aws.port) as refusing, Traffic(collector.otlp_http) as traffic:
        refusing.headers = {"X-Amzn-ErrorType": "InvalidParameterException"}
        traffic.request("r-1", {"cart_total": 1.5})
        traffic.flush()
        LogTraffic(collector.otlp_http).serve(1, 1)
        eventually(lambda: {one["exporter"] for one in kept()}, {"awsxray", "awsemf", "awscloudwatchlogs"}, within_s=40)
        eventually(lambda: collector.own_metric("otelcol_chest_target_refusals", kept="file"), len(kept()))
        refusing.mood = "reset"
    [spans] = [decoded(one, TracesData()) for one in kept() if one["exporter"] == "awsxray"]
    traces = sorted({span.trace_id.hex() for span in spans.resource_spans[0].scope_spans[0].spans})
    assert collector.own_metric("otelcol_chest_target_refusals", kept="lost") == 0
    for name in ("CHEST_QUEUE_DIR", "CHEST_AWS_RESEND_PORT"):
        monkeypatch.setenv(name, collector.env[name])
    with aws:
        done = CliRunner().invoke(command, ["resend"])
        assert (done.exit_code, kept()) == (0, []), done.output
        eventually(lambda: total(aws, "flask.g.cart_total", "Count"), 1, within_s=60)
        assert total(aws, "flask.g.cart_total", "Sum") == 1.5
        eventually(lambda: bool(aws.segments(traces)), expected=True, within_s=60)

        eventually(lambda: bool(aws.log_lines('"r-1"')), expected=True, within_s=60)


def decoded(letter: dict[str, Any], message: Any) -> Any:
    message.ParseFromString(base64.b64decode(letter["body"]))
    return message


def refused_by(collector: Collector, labels: dict[str, str]) -> bool:
    return collector.own_metric("otelcol_chest_target_refusals", **labels) > 0


def test_metrics_by_name_arrive_as_they_were_written(start_collector: StartCollector, tmp_path: Path) -> None:
    """What a view adds by name is in CloudWatch under that name, with its unit, its dimensions and no other."""
    require_module("moto.server", "moto[server]")
    app = Flask("shop", instance_path=str(tmp_path))
    app.testing = True
    with Aws(tmp_path / "aws") as aws:
        collector = start_collector("aws", env=aws.collector_env)
        exporter = OTLPMetricExporter(f"{collector.otlp_http}/v1/metrics")
        provider = MeterProvider([PeriodicExportingMetricReader(exporter, NEVER_MS)], shutdown_on_exit=False)
        chest = FlaskChest(
            app,
            tracked_vars=[TrackedVar("cart_total", unit="{EUR}")],
            meter_provider=provider,
            tracer_provider=NoOpTracerProvider(),
        )

        @app.get(ROUTE)
        @flask_chest(chests=["aws"])
        @count_requests(dimensions={"Page": "index"})
        @count_failures(dimensions=[{"Name": "Page", "Value": "index"}])
        def index(number: int) -> tuple[str, int]:
            g.cart_total = 1.5
            chest.add_metric("Mail Latency", 0.25 * number, "Seconds", [{"Name": "Queue", "Value": "mail"}])
            chest.add_metric("4XXError", 0)
            return "", 404 if number == 3 else 200

        @app.get("/other")
        @flask_chest(chests=["aws", "influxdb"])
        def other() -> str:
            chest.add_metric("4XXError", 1)
            return ""

        for path in ("1", "2", "3", "other"):
            app.test_client().get(f"/{path}")
        provider.shutdown()
        expected = {
            "Mail Latency": ("Seconds", ["Queue"], {"Queue": "mail"}, 3, 1.5),
            "RequestCount": ("Count", ["Page"], {"Page": "index"}, 3, 3),
            "Error": ("Count", ["Page"], {"Page": "index"}, 3, 1),
            "Fault": ("Count", ["Page"], {"Page": "index"}, 3, 0),
            "4XXError": ("Count", [], {}, 4, 1),
        }
        for name, wanted in expected.items():
            eventually(partial(written, aws, name, "added"), wanted, within_s=30)
        # A unit that CloudWatch does not know is left out, and nothing is there twice.
        declared = ("None", ["http.request.method", "http.route"], {"http.request.method": "GET", "http.route": ROUTE})
        eventually(partial(written, aws, "flask.g.cart_total", "collector"), (*declared, 3, 4.5))
        assert aws.metric_events("RequestCount") == aws.metric_events("flask.g.cart_total", stream="added") == []


def written(aws: Aws, name: str, stream: str) -> tuple[str, list[str], dict[str, str], float, float] | None:
    """Return what the events of one stream say of a metric: unit, dimensions by name and value, count and sum."""
    events = aws.metric_events(name, stream=stream)
    if not events:
        return None
    (declared,) = events[0]["_aws"]["CloudWatchMetrics"]
    (unit,) = [metric.get("Unit", "None") for metric in declared["Metrics"] if metric["Name"] == name]
    (dimensions,) = declared["Dimensions"]
    count, summed = (sum(event[name][figure] for event in events) for figure in ("Count", "Sum"))
    return unit, dimensions, {key: events[0][key] for key in dimensions}, count, summed


def total(aws: Aws, name: str, figure: str, only: dict[str, str] | None = None) -> float:
    """Return the sum of one figure over all events of a histogram, as CloudWatch's statistics do."""
    wanted = (only or {}).items()
    return float(sum(event[name][figure] for event in aws.metric_events(name) if wanted <= event.items()))
