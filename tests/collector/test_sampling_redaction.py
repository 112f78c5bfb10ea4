"""Redaction and tail sampling, as `flask chest collector render` puts them in front of every target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._collector import Composition, render
from tests.backends import jsonl
from tests.backends.raw_otlp import gauge_request, post, set_attribute, trace_request
from tests.backends.traffic import DURATION, Traffic, eventually

if TYPE_CHECKING:
    from tests.backends.collector import Collector
    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

SECRETS = {
    "db.password": "hunter2-secret",
    "http.request.header.authorization": "Basic aHVudGVyMi1zZWNyZXQ=",
    "text": "card 4111111111111111, bearer abc.DEF-ghi",
}
MASK = "****"
LEAKS = ("hunter2", "aHVudGVyMi1zZWNyZXQ", "4111111111111111", "abc.DEF-ghi")


def with_secret_event(span: Any, _number: int) -> None:
    set_attribute(span.events.add().attributes, "api_key", "hunter2-secret")
    span.events[0].name = "event"


def test_secrets_reach_no_target(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Secrets in attributes of spans, events and the resource arrive masked, everything else as it was."""
    text = render(Composition(("influxdb", "file"), redaction=True))
    collector = start_collector(whole=text, env=influxdb.collector_env)
    with Traffic(collector.otlp_http, resource={"secret_of_the_host": "hunter2-secret"}) as traffic:
        traffic.request("r-1", {"cart_total": 2.5, "auth_token": "hunter2-secret", "user_id": "u1"})
        traffic.flush()
        body = trace_request(1, SECRETS, change=with_secret_event)
        assert post(collector.otlp_http, "traces", body) == 200
        path = collector.folder / "telemetry.jsonl"
        eventually(lambda: len(jsonl.spans(path)), 3)
        eventually(lambda: len(jsonl.points(path, DURATION)), 1)
        eventually(lambda: len(influxdb.influxql("SELECT attributes FROM spans")), 3)
        [request] = [one["attributes"] for one in jsonl.spans(path) if "flask.request_id" in one["attributes"]]
        assert request["flask.g.auth_token"] == MASK
        assert (request["flask.g.cart_total"], request["flask.g.user_id"]) == (2.5, "u1")
        [other] = [one["attributes"] for one in jsonl.spans(path) if "text" in one["attributes"]]
        assert other["text"] == f"card {MASK}, {MASK}"
        everything = path.read_text() + str(influxdb.influxql("SELECT * FROM /.*/"))
        assert [leak for leak in LEAKS if leak in everything] == []


def slow_or_failed(span: Any, number: int) -> None:
    if span.name == "failed":
        span.status.code = 2
    if span.name == "slow":
        span.start_time_unix_nano = span.end_time_unix_nano - 2_000_000_000


def test_errors_and_slow_requests_are_kept(start_collector: StartCollector) -> None:
    """Of 120 traces the ten with an error and the ten slow ones are kept; every metric point is."""
    text = render(Composition(("file",), tail_sampling=True))
    env = {"CHEST_KEEP_PERCENT": "0", "CHEST_SAMPLING_WAIT": "1s", "CHEST_SLOW_MS": "1500"}
    collector = start_collector(whole=text, env=env)
    # What is dropped comes first: it has been decided on when the others are there.
    for name, count in (("quick", 100), ("failed", 10), ("slow", 10)):
        assert post(collector.otlp_http, "traces", trace_request(count, name=name, change=slow_or_failed)) == 200
    assert post(collector.otlp_http, "metrics", gauge_request("load", [float(n) for n in range(120)])) == 200
    path = collector.folder / "telemetry.jsonl"
    eventually(lambda: len(jsonl.spans(path)) >= 20, expected=True)
    assert sorted(span["name"] for span in jsonl.spans(path)) == ["failed"] * 10 + ["slow"] * 10
    assert len(jsonl.points(path, "load")) == 120
    # The alarm of docs/how-to/collector-run.md is there and silent.
    early = "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early"
    assert early in collector.own_metric_names()
    assert collector.own_metric(early) == 0


def test_a_share_of_the_rest_is_kept(start_collector: StartCollector) -> None:
    """With a share of one hundred percent nothing is missing: sampling costs what the share says, and no more."""
    text = render(Composition(("file",), tail_sampling=True))
    env = {"CHEST_KEEP_PERCENT": "100", "CHEST_SAMPLING_WAIT": "1s"}
    collector = start_collector(whole=text, env=env)
    with Traffic(collector.otlp_http) as traffic:
        for number in range(200):
            traffic.request(f"r-{number}")
        traffic.flush()
        path = collector.folder / "telemetry.jsonl"
        eventually(lambda: len({span["spanId"] for span in jsonl.spans(path)}), 400)


TRACE = bytes(range(16))


def part(name: str) -> bytes:
    """One span of the trace; it has an error where its name is `failed`."""

    def change(span: Any, number: int) -> None:
        slow_or_failed(span, number)
        span.trace_id = TRACE

    return trace_request(1, name=name, change=change)


def kept(collector: Collector) -> list[str]:
    """Names of the trace's spans in the file."""
    spans = jsonl.spans(collector.folder / "telemetry.jsonl")
    return sorted(span["name"] for span in spans if span["traceId"] == TRACE.hex())


def test_a_late_span_shares_the_fate_of_its_trace(start_collector: StartCollector) -> None:
    """Also when the trace itself is long forgotten, for the decision is remembered."""
    text = render(Composition(("file",), tail_sampling=True))
    env = {"CHEST_KEEP_PERCENT": "0", "CHEST_SAMPLING_WAIT": "1s", "CHEST_SAMPLING_TRACES": "10"}
    collector = start_collector(whole=text, env=env)
    assert post(collector.otlp_http, "traces", part("failed")) == 200
    eventually(lambda: kept(collector), ["failed"])
    # More traces than may wait: the first one gives way.
    assert post(collector.otlp_http, "traces", trace_request(50, name="quick")) == 200
    assert post(collector.otlp_http, "traces", part("late")) == 200
    eventually(lambda: kept(collector), ["failed", "late"])


def test_a_trace_in_two_collectors_is_judged_twice(start_collector: StartCollector) -> None:
    """What the documentation says of a changed number of collectors: the share of the rest is the same in both."""
    text = render(Composition(("file",), tail_sampling=True))
    env = {"CHEST_KEEP_PERCENT": "50", "CHEST_SAMPLING_WAIT": "1s"}
    both = [start_collector(whole=text, env=env) for _ in range(2)]
    with_same_ids = trace_request(200, name="quick")
    for collector in both:
        assert post(collector.otlp_http, "traces", with_same_ids) == 200

    def shares() -> list[set[str]]:
        return [{span["traceId"] for span in jsonl.spans(one.folder / "telemetry.jsonl")} for one in both]

    eventually(lambda: all(len(share) > 50 for share in shares()), expected=True)
    first, second = shares()
    assert first == second
    assert len(first) < 150
