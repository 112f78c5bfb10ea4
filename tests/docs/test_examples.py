"""The example applications do what their pages say, and telemetry agrees with what they answered."""

from __future__ import annotations

import json
import math
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from examples import from_flask_chest, from_flask_cloudwatch_metric, from_flask_context
from examples.shop import app as shop
from examples.shop import demo, traffic
from flask_chest_otel import trace_id_for
from flask_chest_otel.testing import capture
from tests.docs.pages import REPOSITORY, blocks_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask_chest_otel.testing import RequestRecord

SAMPLE = """
def index():
    g.start = time.time()
    g.transaction = 1
    g.response_time = time.time() - g.start
    return "Hello, World!"
"""
"""The view of Flask-Chest's own example, to the letter."""

Group = dict[tuple["str | None", str], list["RequestRecord"]]


@pytest.fixture
def served(tmp_path: Path) -> tuple[dict[str, Any], list[RequestRecord]]:
    """The report of 300 requests, and their records."""
    app = shop.create_app(str(tmp_path))
    app.testing = True  # no store
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.logger.disabled = True
    with capture(app) as records:
        answers = traffic.run(traffic.plan(300), traffic.in_process(app))
    return traffic.report(answers), records


def test_the_traffic_is_the_same_each_time() -> None:
    """A seed stands for one list of requests; a longer list begins with the shorter one."""
    assert traffic.plan(50, seed=7) == traffic.plan(60, seed=7)[:50]
    assert traffic.plan(50, seed=7) != traffic.plan(50, seed=8)


def test_telemetry_agrees_with_the_responses(served: tuple[dict[str, Any], list[RequestRecord]]) -> None:
    """Transactions and the sum of response times per route and method are exactly what the client was told."""
    report, records = served
    groups: Group = defaultdict(list)
    for record in records:
        groups[record.route, record.method].append(record)
    assert {(row["route"], row["method"]): row["transactions"] for row in report["routes"]} == {
        key: sum(record.variables["transaction"] for record in group) for key, group in groups.items()
    }
    for row in report["routes"]:
        group = groups[row["route"], row["method"]]
        assert row["response_time_sum_s"] == math.fsum(record.variables["response_time"] for record in group)


def test_the_traffic_is_of_every_kind(served: tuple[dict[str, Any], list[RequestRecord]]) -> None:
    """Handled and unhandled failures, pages that are not there, streams; the health check is not recorded."""
    report, records = served
    assert set(report["total"]["statuses"]) == {"200", "402", "404", "500"}
    assert {record.route for record in records} >= {None, "/export", "/checkout"}
    assert report["not_recorded"] > 0
    assert not [record for record in records if record.route == "/health"]


def test_both_sides_of_the_shop_call_the_header_alike() -> None:
    """The traffic needs nothing but the standard library, so it has the name once more."""
    assert traffic.RESPONSE_TIME_HEADER == shop.RESPONSE_TIME_HEADER


def test_the_demonstration_shows_what_a_user_came_for(tmp_path: Path) -> None:
    """It ends well, and every command that it shows can be pasted."""
    folder = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "examples.shop.demo", "--folder", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert str(folder) in done.stdout
    assert "P95 MS" in done.stdout
    assert "order-0599" in done.stdout
    assert "route=/checkout and plan=gold" in done.stdout
    further, _, pages = done.stdout.partition("To look further:")[2].partition("And as pages")
    assert "chest serve --open --store" in pages
    shown = further.splitlines()
    commands = [line.strip() for line in shown if line.startswith("  ") and not line.startswith("  #")]
    assert commands == [shlex.join(command) for _, command in demo.further(folder / demo.STORE)]
    for command in commands:
        output = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        assert output.stdout.strip(), command


@pytest.fixture
def moved() -> list[RequestRecord]:
    """Records of a GET and a POST to the predecessor's sample application."""
    from_flask_chest.app.testing = True
    with capture(from_flask_chest.app) as records:
        client = from_flask_chest.app.test_client()
        assert client.get("/api-endpoint").text == client.post("/api-endpoint").text == "Hello, World!"
    return records


def test_the_first_example_leaves_what_the_readme_says(run_python: Callable[..., str]) -> None:
    """Attributes of its span, and one value of the histogram with route, method and dimension."""
    page = (REPOSITORY / "README.md").read_text("utf-8")
    first = next(block for block in blocks_of(page) if block.language == "python")
    out = run_python(
        first.text
        + """
import json
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

spans, reader, provider = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([reader]))
app.test_client().post("/cart/7", headers={"X-Request-ID": "r-17"})
(span,) = spans.get_finished_spans()
scopes = reader.get_metrics_data().resource_metrics[0].scope_metrics
named = {one.name: one for scope in scopes for one in scope.metrics}
(point,) = named["flask.g.cart_total"].data.data_points
print(json.dumps([dict(span.attributes), dict(point.attributes), point.count, point.sum]))
"""
    )
    attributes, of_metric, count, total = json.loads(out)
    said = dict(re.findall(r"`(flask\.[\w.]+)=([^`]+)`", page.partition("The span of that request has")[2]))
    assert len(said) == 4
    assert {name: json.dumps(attributes[name]) for name in said} == said
    assert (count, total) == (1, 42.5)
    assert of_metric == {"http.route": "/cart/<int:cart_id>", "http.request.method": "POST", "flask.g.plan": "gold"}


def test_the_sample_of_the_predecessor_records_its_two_indicators(moved: list[RequestRecord]) -> None:
    """Transactions of GET and POST, the response time of POST; for the two targets that the route names."""
    get, post = moved
    assert get.variables == {"transaction": 1}
    assert set(post.variables) == {"transaction", "response_time"}
    assert get.chests == post.chests == ("influxdb", "signalfx")
    assert [(one.metric, one.kind) for one in post.metrics] == [
        ("flask.g.transaction", "histogram"),
        ("flask.g.response_time", "histogram"),
    ]


def test_the_sample_of_the_predecessor_keeps_its_request_ids(moved: list[RequestRecord]) -> None:
    """They come from its own generator, and decide the trace ids."""
    for record in moved:
        assert re.fullmatch(r"20\d{18}", record.request_id)
        assert record.trace_id == trace_id_for(record.request_id)


def test_the_sample_of_the_predecessor_is_moved_without_touching_its_view() -> None:
    """Only the import, the set-up and annotations are different."""
    source = (REPOSITORY / "examples" / "from_flask_chest.py").read_text("utf-8")
    plain = re.sub(r' -> str:\n    """.*?"""', ":", source)
    assert SAMPLE.strip() in plain
    assert 'tracked_vars={"GET": ["transaction"], "POST": ["transaction", "response_time"]},' in plain


@pytest.mark.parametrize("name", ["flask-chest", "flask-context", "flask-cloudwatch-metric"])
def test_pages_for_whoever_moves_show_the_examples(name: str) -> None:
    """Before and after stand one below the other, and after is the example, to the letter."""
    text = (REPOSITORY / "docs" / "how-to" / f"migrate-from-{name}.md").read_text("utf-8")
    before, after = text.partition("## Before")[2].partition("## After")[::2]
    example = REPOSITORY / "examples" / f"from_{name.replace('-', '_')}.py"
    assert len(blocks_of(before)) == 1
    assert blocks_of(after)[0].text == example.read_text("utf-8")


def test_the_moved_context_is_recorded_and_travels() -> None:
    """Each request has a fresh id, or its caller's; the fields are recorded."""
    app = from_flask_context.app
    app.testing = True
    with capture(app) as records:
        own = app.test_client().get("/").text
        theirs = app.test_client().get("/", headers={"baggage": "correlation_id=c-17"}).text
    assert (len(own), theirs) == (32, "c-17")
    assert [dict(record.variables) for record in records] == [
        {"correlation_id": own, "user_id": "u1"},
        {"correlation_id": "c-17", "user_id": "u1"},
    ]


def test_the_moved_metrics_are_recorded() -> None:
    """Values by name, requests and failures, with the status of each."""
    app = from_flask_cloudwatch_metric.app
    app.testing = True
    with capture(app) as records:
        assert app.test_client().get("/").status_code == 200
        assert app.test_client().get("/missing").status_code == 404
    found = [{one.metric: (one.unit, dict(one.attributes)) for one in record.metrics} for record in records]
    counted = ("{count}", {"Resource": "IndexPage"})
    assert found[0] == {
        "ItemsShown": ("{count}", {}),
        "Latency": ("s", {"Queue": "mail"}),
        "RequestCount": counted,
        "Error": counted,
        "Fault": counted,
    }
    assert [(one.metric, one.value) for one in records[1].metrics] == [("Error", 1), ("Fault", 0)]
