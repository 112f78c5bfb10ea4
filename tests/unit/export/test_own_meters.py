"""This package's instruments against the SDK's: both measure the same, and what is exported says the same."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from flask_chest_otel._outbox.exporters import OutboxMetricExporter, has_explicit_buckets
from flask_chest_otel._providers import aggregation
from flask_chest_otel._providers.metric_reader import ProcessMetricReader
from flask_chest_otel._providers.own_meters import OwnMeterProvider
from flask_chest_otel.names import SCOPE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from opentelemetry.metrics import Meter

    from tests.backends.otlp_receiver import OtlpReceiver

thorough = settings(max_examples=int(os.environ.get("CHEST_EXAMPLES", "15")), deadline=None)
"""Set the variable to look longer."""

PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
AGGREGATION = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
FILTER = "OTEL_METRICS_EXEMPLAR_FILTER"

SETS: tuple[Mapping[str, Any] | None, ...] = (
    None,
    {},
    {"http.route": "/cart", "plan": "pro"},
    {"plan": "pro", "http.route": "/cart"},  # the same set
    {"plan": 1},
    {"plan": "1"},
)


def context_of(flags: int) -> Context:
    span = NonRecordingSpan(SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=TraceFlags(flags)))
    return trace.set_span_in_context(span, Context())


CONTEXTS = (None, Context(), context_of(0), context_of(1))


def eighths(number: int) -> float:
    """A number whose sums are exact, in whatever order: the SDK adds each period to those before."""
    return number / 8


def measurements(first_context: int) -> st.SearchStrategy[tuple[str, float, int, Context | None]]:
    return st.tuples(
        st.sampled_from(["histogram", "advised", "counter", "up_down"]),
        st.integers(0, 20_000) | st.integers(0, 160_000).map(eighths) | st.sampled_from([0, 5, 5.0, 0.125, 10_000]),
        st.integers(0, len(SETS) - 1),
        st.sampled_from(CONTEXTS[first_context:]),
    )


class Kept(OutboxMetricExporter):
    """Keeps what it is given, in place of an outbox."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[MetricsData] = []

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object) -> MetricExportResult:
        self.found.append(metrics_data)
        return MetricExportResult.SUCCESS


class Both:
    """The same instruments twice: this package's, and the SDK's with the same temporality and buckets."""

    def __init__(self) -> None:
        resource = Resource({"service.name": "shop"})
        self.kept = Kept()
        self.own = OwnMeterProvider(self.kept, resource)
        self.reader = InMemoryMetricReader(self.kept.temporalities)
        self.sdk = MeterProvider([self.reader], resource=resource)
        meters = [provider.get_meter(SCOPE, "1.0", "https://a.schema") for provider in (self.own, self.sdk)]
        self.instruments = [instruments_of(meter) for meter in meters]

    def measure(self, name: str, amount: float, attributes: Mapping[str, Any] | None, context: Context | None) -> None:
        for instruments in self.instruments:
            instruments[name](amount, attributes, context)

    def collected(self) -> tuple[list[bytes], list[bytes]]:
        """What both have for the collector now, bytes of decoded points, but for times and chance."""
        self.kept.found.clear()
        assert self.own.force_flush()
        found = self.reader.get_metrics_data()
        return comparable(self.kept.found), comparable([found] if found is not None else [])

    def close(self) -> None:
        self.own.shutdown()
        self.sdk.shutdown()


def instruments_of(meter: Meter) -> dict[str, Any]:
    return {
        "histogram": meter.create_histogram("Shop.Histogram", "s", "How long.").record,
        "advised": meter.create_histogram("shop.advised", explicit_bucket_boundaries_advisory=[0.1, 5, 10.0]).record,
        "counter": meter.create_counter("shop.counter", "{order}").add,
        "up_down": meter.create_up_down_counter("shop.up_down").add,
        "gauge": meter.create_gauge("shop.gauge").set,
    }


def comparable(found: list[MetricsData]) -> list[bytes]:
    """Each point with what stands around it."""
    groups = [group for data in found for group in encode_metrics(data).resource_metrics]
    return sorted(
        said
        for group in groups
        for scope in group.scope_metrics
        for metric in scope.metrics
        for said in said_of(metric, repr((group.resource, group.schema_url, scope.scope, scope.schema_url)))
    )


def said_of(metric: Any, around: str) -> list[bytes]:
    """The points of one metric, each with all that is said of the metric."""
    points = [point_of(point) for point in points_of(metric)]
    getattr(metric, metric.WhichOneof("data")).ClearField("data_points")
    return [f"{around} {metric} {point}".encode() for point in points]


def points_of(metric: Any) -> list[Any]:
    return list(getattr(metric, metric.WhichOneof("data")).data_points)


def point_of(point: Any) -> str:
    point.start_time_unix_nano = int(bool(point.start_time_unix_nano))
    point.time_unix_nano = 0
    point.attributes.sort(key=lambda attribute: attribute.key)
    for exemplar in point.exemplars:
        exemplar.time_unix_nano = int(bool(exemplar.time_unix_nano))
        if point.DESCRIPTOR.name == "NumberDataPoint":  # which one it is, chance decides
            exemplar.Clear()
    return str(point)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preference", "exemplars"),
    [("", "trace_based"), ("delta", "trace_based"), ("lowmemory", "always_on"), ("", "always_off")],
)
def test_what_the_sdk_says(preference: str, exemplars: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each of several collections both have the same points, whatever temporality and exemplars are asked for."""
    monkeypatch.setenv(PREFERENCE, preference)
    monkeypatch.setenv(FILTER, exemplars)
    # Without a span, the SDK's exemplar has the ids of the one before it.
    first = 2 if exemplars == "always_on" else 0

    @given(rounds=st.lists(st.lists(measurements(first), max_size=12), min_size=1, max_size=4))
    @thorough
    def holds(rounds: list[list[tuple[str, float, int, Context | None]]]) -> None:
        both = Both()
        for one in rounds:
            for name, amount, attributes, context in one:
                both.measure(name, amount, SETS[attributes], context)
            # Older SDKs forget it where nothing has set it since the last collection.
            both.measure("gauge", len(one), SETS[2], CONTEXTS[3])
            own, sdk = both.collected()
            assert own == sdk
        both.close()

    holds()


def every_point(kept: Kept, name: str) -> list[Any]:
    encoded = [encode_metrics(data) for data in kept.found]
    metrics = [m for e in encoded for r in e.resource_metrics for s in r.scope_metrics for m in s.metrics]
    return [point for metric in metrics if metric.name == name for point in points_of(metric)]


@pytest.fixture
def both() -> Iterator[Both]:
    made = Both()
    yield made
    made.close()


@pytest.mark.parametrize("preference", ["cumulative", "delta"])
def test_when_points_begin(preference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With delta a point begins where the one before has ended, also over a pause; else where the series began."""
    monkeypatch.setenv(PREFERENCE, preference)
    both = Both()
    for value in (1, 2):
        both.measure("counter", value, SETS[2], None)
        assert both.own.force_flush()
        assert both.own.force_flush(), "a pause"
    both.close()
    first, *others = every_point(both.kept, "shop.counter")
    if preference == "cumulative":
        assert {point.start_time_unix_nano for point in others} == {first.start_time_unix_nano}
        assert [point.as_int for point in (first, *others)] == [1, 1, 3, 3, 3], "the last one at the end"
    else:
        (second,) = others
        assert first.start_time_unix_nano < first.time_unix_nano < second.start_time_unix_nano < second.time_unix_nano
        assert [point.as_int for point in (first, second)] == [1, 2]


def test_the_exemplar_of_a_counter(both: Both) -> None:
    """It names the span of its measurement; of many measurements, each becomes it now and then."""
    both.measure("counter", 7, SETS[2], CONTEXTS[3])
    both.own.force_flush()
    (exemplar,) = every_point(both.kept, "shop.counter")[0].exemplars
    assert (exemplar.as_int, exemplar.trace_id[-1], exemplar.span_id[-1]) == (7, 0xA1, 0xB2)
    seen: set[int] = set()
    for _ in range(200):
        both.kept.found.clear()
        for amount in (1, 2, 3):
            both.measure("counter", amount, SETS[2], CONTEXTS[3])
        both.own.force_flush()
        seen.update(found.as_int for found in every_point(both.kept, "shop.counter")[0].exemplars)
    assert seen == {1, 2, 3}


def test_nothing_is_lost_between_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What several threads measure while others collect is counted once, under delta, too."""
    monkeypatch.setenv(PREFERENCE, "delta")
    made = Both()
    threads = [threading.Thread(target=_measure_often, args=(made,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        made.own.force_flush()
    made.own.force_flush()
    assert sum(point.as_int for point in every_point(made.kept, "shop.counter")) == 4 * 2000
    assert sum(point.count for point in every_point(made.kept, "shop.histogram")) == 4 * 2000
    assert sum(sum(point.bucket_counts) for point in every_point(made.kept, "shop.histogram")) == 4 * 2000
    made.close()


def _measure_often(made: Both) -> None:
    counter, histogram = made.instruments[0]["counter"], made.instruments[0]["histogram"]
    for number in range(2000):
        counter(1, SETS[2], None)
        histogram(number, {"plan": number % 3}, None)


@pytest.mark.parametrize("name", ["counter", "up_down", "histogram"])
def test_a_signal_handler_measures_in_the_middle(name: str, both: Both) -> None:
    """Its own values count, too, wherever the interpreter calls it: at each call within a measurement."""
    measure, file = both.instruments[0][name], aggregation.__file__
    handled = 0

    def handle(frame: FrameType, event: str, _: object) -> None:
        nonlocal handled
        if event in {"call", "c_return"} and frame.f_code.co_filename == file:
            handled += 1
            measure(1, SETS[2], CONTEXTS[3])

    sys.setprofile(handle)
    try:
        for _ in range(10):
            measure(1, SETS[2], CONTEXTS[3])
    finally:
        sys.setprofile(None)
    both.own.force_flush()
    (point,) = every_point(both.kept, f"shop.{name}")
    assert handled > 20
    assert (point.sum if name == "histogram" else point.as_int) == 10 + handled


def test_definitions_that_the_sdk_takes_for_one() -> None:
    """What differs in the case of the name, or in buckets, is one instrument; other definitions are two."""
    both = Both()
    for provider in (both.own, both.sdk):
        meter = provider.get_meter(SCOPE, "1.0", "https://a.schema")
        meter.create_counter("Shop.Orders").add(1)
        meter.create_counter("shop.orders").add(2)
        meter.create_counter("shop.orders", description="Others.").add(4)
        meter.create_gauge("shop.orders").set(8)
        for bounds in (None, [1.0, 2.0]):
            meter.create_histogram("shop.sizes", explicit_bucket_boundaries_advisory=bounds).record(1)
        with pytest.raises(Exception, match="Expected ASCII string"):
            meter.create_counter("1st")
    own, sdk = both.collected()
    assert own == sdk
    assert len(own) == 4
    both.close()


class Waits(dict[Any, Any]):
    """Temporalities: the first collection that asks for one waits."""

    def __init__(self, real: Mapping[Any, Any]) -> None:
        super().__init__(real)
        self.asked, self.go_on = threading.Event(), threading.Event()

    def get(self, key: object, default: object = None) -> Any:
        if not self.asked.is_set():
            self.asked.set()
            assert self.go_on.wait(10)
        return super().get(key, default)


@pytest.mark.parametrize("preference", ["cumulative", "delta"])
def test_collections_at_the_same_time(preference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two collections the later has no smaller sums, and no point ends before it begins or another one ends."""
    monkeypatch.setenv(PREFERENCE, preference)
    kept = Kept()
    waits = kept.temporalities = Waits(kept.temporalities)
    provider = OwnMeterProvider(kept, Resource({}))
    add = instruments_of(provider.get_meter(SCOPE))["counter"]
    add(1)
    collections = [threading.Thread(target=provider.force_flush) for _ in range(2)]
    collections[0].start()
    assert waits.asked.wait(10)
    add(1)
    add(1, SETS[2])  # a series that begins while the first collection has begun
    collections[1].start()
    collections[1].join(0.2)
    add(1)
    waits.go_on.set()
    for collection in collections:
        collection.join()
    provider.shutdown()
    points = sorted(every_point(kept, "shop.counter"), key=lambda point: point.time_unix_nano)
    assert all(point.start_time_unix_nano <= point.time_unix_nano for point in points)
    bare = [point for point in points if not point.attributes]
    if preference == "delta":
        assert sum(point.as_int for point in bare) == 3
        ends = [point.time_unix_nano for point in bare]
        assert all(point.start_time_unix_nano >= end for point, end in zip(bare[1:], ends, strict=False))
    else:
        sums = [point.as_int for point in bare]
        assert sums == sorted(sums)
        assert sums[-1] == 3


class Slow(Kept):
    """An exporter whose first export waits, and that takes nothing after its shutdown, as all do."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.go_on, self.ended = threading.Event(), threading.Event(), False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object) -> MetricExportResult:
        self.asked.set()
        assert self.go_on.wait(10)
        return MetricExportResult.FAILURE if self.ended else super().export(metrics_data)

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        self.ended = True


def test_the_end_waits_for_a_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a flush has collected when the end comes is exported: with delta, no other collection has it."""
    monkeypatch.setenv(PREFERENCE, "delta")
    slow = Slow()
    provider = OwnMeterProvider(slow, Resource({}))
    instruments_of(provider.get_meter(SCOPE))["counter"](1)
    provider.get_meter("another").create_counter("another").add(1)
    both = [threading.Thread(target=provider.force_flush), threading.Thread(target=provider.shutdown)]
    both[0].start()
    assert slow.asked.wait(10)
    both[1].start()
    both[1].join(0.3)
    slow.go_on.set()
    for one in both:
        one.join()
    assert [point.as_int for name in ("shop.counter", "another") for point in every_point(slow, name)] == [1, 1]


def test_a_batch_without_metrics(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is reported where there is nothing to join: of two collections, one may send what both have made."""
    provider = MeterProvider([reader := ProcessMetricReader(Kept(), lambda: MetricsData([]))])
    reader.keep()
    provider.shutdown()
    assert caplog.messages == []


def test_a_gauge_keeps_its_value(both: Both) -> None:
    """It is told at each collection, without a start, until it is set anew."""
    for value in (3, 1):
        both.instruments[0]["gauge"](value, SETS[2], None)
        both.own.force_flush()
        both.own.force_flush()
    points = every_point(both.kept, "shop.gauge")
    assert [(point.as_int, point.start_time_unix_nano) for point in points] == [(3, 0), (3, 0), (1, 0), (1, 0)]


def test_equal_values_of_several_types(both: Both) -> None:
    """True, 1 and 1.0 are three attribute sets, also where the SDK takes them for one."""
    for value in (True, 1, 1.0, True):
        both.instruments[0]["counter"](1, {"plan": value}, None)
    both.own.force_flush()
    assert sorted(point.as_int for point in every_point(both.kept, "shop.counter")) == [1, 1, 2]


class Mapped(dict[str, Any]):
    """A mapping that tells whether it is still there."""


def test_a_mapping_for_one_measurement_is_not_kept(both: Both) -> None:
    """The mapping that began a series lives with it; others of the same content do not."""
    first, second = Mapped(plan="pro"), Mapped(plan="pro")
    still = [weakref.ref(first), weakref.ref(second)]
    for mapping in (first, second):
        both.instruments[0]["histogram"](1, mapping, None)
    del first, second, mapping
    gc.collect()
    assert [one() is not None for one in still] == [True, False]


def test_what_is_left_to_the_sdk() -> None:
    """Exponential histograms are the SDK's business."""
    assert has_explicit_buckets({})
    assert has_explicit_buckets({AGGREGATION: "explicit_bucket_histogram"})
    assert not has_explicit_buckets({AGGREGATION: "base2_exponential_bucket_histogram"})


@pytest.mark.parametrize("preference", ["cumulative", "delta"])
def test_a_clock_that_is_set_back(preference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each point has the time that the clock tells now, and begins before: back ends keep all of them."""
    monkeypatch.setenv(PREFERENCE, preference)
    both = Both()
    both.measure("counter", 1, SETS[2], None)
    both.own.force_flush()
    now_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() - 3600 * 10**9)
    for _ in range(3):
        both.measure("counter", 1, SETS[2], None)
        both.own.force_flush()
    points = every_point(both.kept, "shop.counter")[1:]
    times = [point.time_unix_nano for point in points]
    assert len(set(times)) == 3
    assert max(times) <= time.time_ns()
    assert all(point.start_time_unix_nano <= point.time_unix_nano for point in points)
    assert [point.as_int for point in points] == ([1, 1, 1] if preference == "delta" else [2, 3, 4])
    both.close()


@pytest.mark.guard_on
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (FILTER, "", ""),
        (FILTER, "Always_On", ""),
        (FILTER, "sometimes", "='sometimes' is not known: trace_based is used; type one of: trace_based, always_on"),
        (PREFERENCE, "deltas", "='deltas' is not known: cumulative is used; type one of: cumulative, delta, lowmemory"),
        (AGGREGATION, "exponential", "='exponential' is not known: explicit_bucket_histogram is used; type one of: "),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "many", "='many' is no whole number from 0: the default is used"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "-3", "='-3' is no whole number from 0: the default is used"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "x", "='x' is no whole number from 0: the default is used"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "", ""),
        ("OTEL_RESOURCE_ATTRIBUTES", "junk", "Invalid key value resource attribute pair junk"),
    ],
)
@pytest.mark.process
def test_a_variable_that_the_sdk_cannot_use(
    variable: str, value: str, said: str, run_python: Callable[..., str], receiver: OtlpReceiver
) -> None:
    """It is said once, in a line that names it and what it takes; spans and metrics are exported all the same."""
    script = f"""
        import logging, os, sys
        logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
        os.environ.update({{"OTEL_EXPORTER_OTLP_ENDPOINT": {receiver.url!r}, "FLASK_CHEST_OUTBOX_DIR": "outbox"}})
        os.environ[{variable!r}] = {value!r}
        from flask import Flask, g
        from flask_chest_otel import FlaskChest, TrackedVar

        app = Flask("shop")
        chest = FlaskChest(app, export="otlp", tracked_vars=[TrackedVar("amount", metric="counter")])

        @app.route("/")
        def view():
            g.amount = 1
            return "ok"

        app.test_client().get("/")
        with app.app_context():
            chest.force_flush(5)
        """
    lines = run_python(script).splitlines()
    assert len(lines) == bool(said), lines
    assert all(said in line for line in lines)
    assert (len(receiver.wait_for_spans(1)), sum(point["sum"] or 0 for point in receiver.latest("flask.g.amount"))) == (
        1,
        1,
    )
