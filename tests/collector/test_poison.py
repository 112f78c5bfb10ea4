"""Values that a back end cannot take: they cost nothing but themselves."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import jsonl
from tests.backends.raw_otlp import gauge_request, post, set_attribute, trace_request
from tests.backends.traffic import Traffic, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

NASTY = "a\nb\r\x00\x7f,= \"'\\"


def nasty_attributes(span: Any) -> None:
    for key in ("http.route", "flask.request_id", "flask.g.user_id", "service.name"):
        set_attribute(span.attributes, key, NASTY)
    set_attribute(span.attributes, NASTY, "value")
    set_attribute(span.attributes, "", "")


def long_attributes(span: Any) -> None:
    set_attribute(span.attributes, "flask.request_id", "x" * 70_000)
    set_attribute(span.attributes, "flask.g.text", "ä" * 70_000)


def not_finite(span: Any) -> None:
    set_attribute(span.attributes, "flask.g.a", float("nan"))
    set_attribute(span.attributes, "flask.g.b", float("-inf"))


def nasty_names(span: Any) -> None:
    span.name = span.status.message = span.trace_state = NASTY
    span.events.add().name = NASTY
    set_attribute(span.events[0].attributes, NASTY, NASTY)


def bare_link(span: Any) -> None:
    link = span.links.add()
    link.trace_id, link.span_id = random.randbytes(16), random.randbytes(8)


def no_ids(span: Any) -> None:
    span.trace_id = span.span_id = b""


def empty_event(span: Any) -> None:
    span.events.add()


POISONS: dict[str, tuple[Callable[[Any], None], int]] = {
    "nasty_attributes": (nasty_attributes, 10),
    "long_attributes": (long_attributes, 10),
    # JSON, in which the exporter writes a span's attributes, has no NaN: these two spans come without attributes.
    # (The plugin sends the text "NaN".)
    "not_finite": (not_finite, 8),
    "nasty_names": (nasty_names, 10),
    # The influxdb exporter would lose the spans before the one with the link.
    "bare_link": (bare_link, 10),
    # What has no id is no span.
    "no_ids": (no_ids, 8),
    "empty_event": (empty_event, 10),
}


def test_spans_beside_a_poisoned_one_arrive(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Of ten spans in one request, two of them poisoned, InfluxDB keeps all that are spans."""
    collector = start_collector("influxdb", env=influxdb.collector_env)
    for kind, (poison, _) in POISONS.items():

        def change(span: Any, number: int, poison: Callable[[Any], None] = poison) -> None:
            if number in (3, 7):
                poison(span)

        body = trace_request(10, {"kind": kind}, change=change)
        assert post(collector.otlp_http, "traces", body) == 200

    def arrived() -> dict[str, int]:
        kinds = [json.loads(row["attributes"])["kind"] for row in influxdb.influxql("SELECT attributes FROM spans")]
        return {kind: kinds.count(kind) for kind in POISONS}

    eventually(arrived, {kind: expected for kind, (_, expected) in POISONS.items()})
    spans = sum(expected for _, expected in POISONS.values()) + 2
    assert [row["count"] for row in influxdb.influxql("SELECT count(duration_nano) FROM spans")] == [spans]


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_numbers_beside_one_that_is_not_finite_arrive(
    poison: float, start_collector: StartCollector, influxdb: InfluxDB2
) -> None:
    """InfluxDB keeps the points around one that it cannot write, also under a scope with a nasty name."""
    collector = start_collector("influxdb", env=influxdb.collector_env)
    body = gauge_request("load", [1.0, 2.0, poison, 4.0], scope=NASTY)
    assert post(collector.otlp_http, "metrics", body) == 200
    query = 'SELECT "number", gauge FROM load'
    eventually(lambda: sorted(row["gauge"] for row in influxdb.influxql(query)), [1, 2, 4])


def test_resource_and_metric_attributes(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Control characters and a backslash at the end arrive as spaces and nothing, in every kind of tag."""
    collector = start_collector("influxdb", env=influxdb.collector_env)
    with Traffic(collector.otlp_http, service="shop\n", resource={"deployment": "west\\"}) as traffic:
        traffic.request("r-1\t1", {"cart_total": 1.0}, route="/a\nb\\")
        traffic.flush()
        query = 'SELECT "count", "http.route", "service.name", deployment FROM "flask.g.cart_total"'
        eventually(
            lambda: [
                (row["count"], row["http.route"], row["service.name"], row["deployment"])
                for row in influxdb.influxql(query)
            ],
            [(1, "/a b", "shop ", "west")],
        )
        spans = 'SELECT duration_nano, "http.route" FROM spans WHERE "flask.request_id" = \'r-1 1\''
        eventually(lambda: [row["http.route"] for row in influxdb.influxql(spans)], ["/a b"])


def test_the_file_keeps_poison_as_it_came(start_collector: StartCollector) -> None:
    """JSON can say everything: the file target changes nothing."""
    collector = start_collector("file")
    body = trace_request(1, {"flask.g.text": NASTY, "flask.g.long": "x" * 70_000, "flask.g.number": float("nan")})
    assert post(collector.otlp_http, "traces", body) == 200
    path = collector.folder / "telemetry.jsonl"
    eventually(lambda: len(jsonl.spans(path)), 1)
    [span] = jsonl.spans(path)
    assert span["attributes"]["flask.g.text"] == NASTY
    assert span["attributes"]["flask.g.long"] == "x" * 70_000
    assert str(span["attributes"]["flask.g.number"]).lower() == "nan"
