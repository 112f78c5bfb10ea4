"""This package's server spans against the SDK's: the same calls on both, and what is exported says the same."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, DEFAULT_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from flask_chest_otel._outbox.span_processor import OutboxSpanProcessor
from flask_chest_otel._providers.own_spans import OwnSpan, OwnSpanProcessors, OwnTracer, OwnTracerProvider
from flask_chest_otel.names import SCOPE
from tests.unit.export.any_span import attributes, texts, values

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

thorough = settings(max_examples=int(os.environ.get("CHEST_EXAMPLES", "60")), deadline=None)
"""Set the variable to look longer."""

RESOURCE = Resource({"service.name": "shop"})
REMOTE = SpanContext(0xA1, 0xB2, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")]))


class Counting(RandomIdGenerator):
    """The same ids for both."""

    def __init__(self, *, random: bool) -> None:
        self._last = 0
        self._random = random

    def generate_span_id(self) -> int:
        self._last += 1
        return self._last

    def generate_trace_id(self) -> int:
        return self.generate_span_id()

    def is_trace_id_random(self) -> bool:
        return self._random


class Adding(Sampler):
    """Adds an attribute and a trace state to what it decides."""

    def __init__(self, decision: Decision, added: dict[str, Any]) -> None:
        self._decision = decision
        self._added = added

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        given = kwargs.get("attributes", args[4] if len(args) > 4 else None)
        return SamplingResult(self._decision, {**(given or {}), **self._added}, TraceState([("s", "1")]))

    def get_description(self) -> str:
        return "Adding"


plain = st.one_of(st.text(max_size=8), st.integers(-5, 5), st.floats(), st.booleans())
keys = st.sampled_from("abcdef")
plain_sets = st.dictionaries(keys, plain, max_size=4)
sets = st.one_of(plain_sets, plain_sets, plain_sets, attributes)
limits = st.builds(
    SpanLimits,
    max_span_attributes=st.sampled_from([SpanLimits.UNSET, 0, 1, 3, 128]),
    max_span_attribute_length=st.sampled_from([SpanLimits.UNSET, SpanLimits.UNSET, 0, 4]),
    max_events=st.sampled_from([1, 128]),
    max_event_attributes=st.sampled_from([1, 128]),
    max_link_attributes=st.sampled_from([1, 128]),
)
samplers = st.one_of(
    st.sampled_from([ALWAYS_ON, ALWAYS_ON, ALWAYS_OFF, DEFAULT_ON]),
    st.builds(Adding, st.sampled_from(list(Decision)), sets),
)
parents = st.one_of(
    st.none(),
    st.builds(SpanContext, st.integers(0, 3), st.just(7), st.booleans(), st.integers(0, 3).map(TraceFlags)),
    st.just(REMOTE),
)


def call(method: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(method), *arguments)


statuses = st.sampled_from(
    [Status(StatusCode.ERROR, "no"), Status(StatusCode.OK), Status(), StatusCode.ERROR, StatusCode.OK]
)
calls = st.lists(
    st.one_of(
        call("set_attributes", sets),
        call("set_attributes", sets),
        call("set_attribute", st.one_of(keys, texts), st.one_of(plain, plain, values)),
        call("add_event", texts, sets, st.integers(0, 9)),
        call("add_link", st.just(REMOTE), sets),
        call("record_exception", st.just(ValueError("no")), sets, st.integers(0, 9)),
        call("update_name", texts),
        call("set_status", statuses),
        call("is_recording"),
        call("get_span_context"),
        call("to_json"),
        call("end", st.integers(1, 2**60)),
    ),
    max_size=9,
)


def tracers(
    span_limits: SpanLimits, sampler: Sampler, *, random: bool = True, processor: SpanProcessor | None = None
) -> tuple[Tracer, Tracer]:
    """A tracer of this package and one of the SDK, with everything else equal."""
    common: dict[str, Any] = {"resource": RESOURCE, "shutdown_on_exit": False, "sampler": sampler}
    own = OwnTracerProvider(OwnSpanProcessors(), span_limits, id_generator=Counting(random=random), **common)
    sdk = TracerProvider(span_limits=span_limits, id_generator=Counting(random=random), **common)
    if processor is not None:
        own.add_span_processor(processor)
    return own.get_tracer(SCOPE, "1.0", "https://s"), sdk.get_tracer(SCOPE, "1.0", "https://s")


def readable(span: ReadableSpan) -> dict[str, Any]:
    """All that a span says; a text, as NaN is unequal to itself, and True equal to 1."""
    names = (
        *("name", "context", "parent", "kind", "resource", "instrumentation_scope", "start_time", "end_time"),
        *("dropped_attributes", "dropped_events", "dropped_links"),
    )
    found: dict[str, Any] = {name: repr(getattr(span, name)) for name in names}
    found["attributes"] = repr(list((span.attributes or {}).items()))
    found["events"] = [(event.name, repr(dict(event.attributes or {})), event.timestamp) for event in span.events]
    found["links"] = [(link.context, repr(dict(link.attributes or {}))) for link in span.links]
    found["status"] = (span.status.status_code, span.status.description)
    return found


def outcome(span: object, method: str, arguments: list[Any]) -> str:
    """What a call returns or raises."""
    try:
        answer = getattr(span, method)(*arguments)
    except Exception as error:  # noqa: BLE001 - both are to raise the same
        return repr(error)
    return answer if isinstance(answer, str) else repr(answer)


def encoded(span: ReadableSpan) -> bytes | str:
    try:
        found: bytes = encode_spans([span]).SerializeToString(deterministic=True)
    except Exception as error:  # noqa: BLE001 - both are to raise the same
        return repr(error)
    return found


@pytest.mark.slow
@given(limits, samplers, st.booleans(), parents, sets, calls)
@thorough
def test_the_same_as_the_sdk(
    span_limits: SpanLimits,
    sampler: Sampler,
    random: bool,
    parent: SpanContext | None,
    first: dict[str, Any],
    rest: list[tuple[Any, ...]],
) -> None:
    """Whatever is called on it, a span says the same as the SDK's, and answers the same."""
    context = Context() if parent is None else trace.set_span_in_context(NonRecordingSpan(parent), Context())
    spans = [
        tracer.start_span("a", context, SpanKind.SERVER, dict(first), start_time=1)
        for tracer in tracers(span_limits, sampler, random=random)
    ]
    assert isinstance(spans[0], OwnSpan) == isinstance(spans[1], Span)
    for method, *arguments in rest:
        assert outcome(spans[0], method, arguments) == outcome(spans[1], method, arguments)
    for span in spans:
        span.end(5)
    own, of_sdk = spans
    assert own.get_span_context() == of_sdk.get_span_context()
    assert repr(own.get_span_context()) == repr(of_sdk.get_span_context())
    if isinstance(own, ReadableSpan) and isinstance(of_sdk, ReadableSpan):
        assert readable(own) == readable(of_sdk)
        assert outcome(own, "to_json", []) == outcome(of_sdk, "to_json", [])
        assert encoded(own) == encoded(of_sdk)


@pytest.mark.slow
@given(limits, sets, st.lists(st.tuples(st.booleans(), sets), max_size=5))
@thorough
def test_a_view_follows_the_span(
    span_limits: SpanLimits, first: dict[str, Any], rest: list[tuple[bool, dict[str, Any]]]
) -> None:
    """Attributes that are read while the span is open are the SDK's, and a view of them shows what comes later."""
    own, of_sdk = (
        tracer.start_span("a", None, SpanKind.SERVER, dict(first)) for tracer in tracers(span_limits, ALWAYS_ON)
    )
    assert isinstance(own, OwnSpan)
    assert isinstance(of_sdk, Span)
    views: list[tuple[Any, Any]] = []
    for reads, later in rest:
        if reads:
            views.append((own.attributes, of_sdk.attributes))
        own.set_attributes(later)
        of_sdk.set_attributes(later)
        for view, of_sdk_view in views:
            assert repr(list(view.items())) == repr(list(of_sdk_view.items()))


class Shape(dict[str, Any]):
    """A dictionary of the application, which may answer what it likes."""


def test_what_is_given_belongs_to_the_caller() -> None:
    """A dictionary that is changed after it was given changes no span, and no span changes it."""
    own, _ = tracers(SpanLimits(), ALWAYS_ON)
    first, later = {"a": 1}, Shape(b=2)
    span = own.start_span("a", None, SpanKind.SERVER, first)
    span.set_attributes(later)
    first["a"] = later["b"] = 9
    span.set_attribute("c", 3)
    span.end()
    assert isinstance(span, OwnSpan)
    assert dict(span.attributes) == {"a": 1, "b": 2, "c": 3}
    assert (first, later) == ({"a": 9}, {"b": 9})


def test_what_is_exported() -> None:
    """The processors get each span once, with all its attributes, also if several threads end it."""
    exporter = InMemorySpanExporter()
    processor = OutboxSpanProcessor(exporter)
    own, _ = tracers(SpanLimits(), ALWAYS_ON, processor=processor)
    span = own.start_span("a", None, SpanKind.SERVER, {"a": 1})
    threads = [threading.Thread(target=span.end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    span.set_attribute("late", 1)
    assert processor.force_flush()
    (exported,) = exporter.get_finished_spans()
    assert dict(exported.attributes or {}) == {"a": 1}
    processor.shutdown()


def test_attributes_from_several_threads() -> None:
    """Of many threads that set attributes while another one reads them, none loses one."""
    own, _ = tracers(SpanLimits(max_span_attributes=SpanLimits.UNSET), ALWAYS_ON)
    span = own.start_span("a", None, SpanKind.SERVER)
    assert isinstance(span, OwnSpan)
    begin = threading.Barrier(5)

    def write(number: int) -> None:
        begin.wait()
        for key in range(50):
            span.set_attributes({f"{number}.{key}": key})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    begin.wait()
    while any(thread.is_alive() for thread in threads):
        len(span.attributes)
    assert len(span.attributes) == 200


def test_parent_of_others() -> None:
    """Spans that the application makes inside of it are its children, and are the SDK's."""
    own, _ = tracers(SpanLimits(), ALWAYS_ON)
    server = own.start_span("a", None, SpanKind.SERVER)
    with trace.use_span(server, end_on_exit=True):
        assert trace.get_current_span() is server
        inner = own.start_span("b")
    assert isinstance(inner, Span)
    assert not isinstance(inner, OwnSpan)
    assert inner.parent == server.get_span_context()
    with own.start_as_current_span("c", kind=SpanKind.SERVER) as current:
        assert current is trace.get_current_span()


def test_an_exception_in_a_block() -> None:
    """A span that is used as a block keeps the exception and its status."""
    own, _ = tracers(SpanLimits(), ALWAYS_ON)
    span = own.start_span("a", None, SpanKind.SERVER, {"a": 1})
    with pytest.raises(ValueError, match="no"), span:
        raise ValueError("no")
    assert isinstance(span, OwnSpan)
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


class Curious(SpanProcessor):
    """A processor of the application."""


def test_processors_of_others_get_the_sdks_spans() -> None:
    """From the first processor that is not ours on, all spans are the SDK's own, which calls all hooks."""
    provider = OwnTracerProvider(OwnSpanProcessors(), SpanLimits(), resource=RESOURCE, shutdown_on_exit=False)
    tracer = provider.get_tracer(SCOPE)
    assert isinstance(tracer.start_span("a", None, SpanKind.SERVER), OwnSpan)
    provider.add_span_processor(Curious())
    assert type(tracer.start_span("a", None, SpanKind.SERVER)) is not OwnSpan


@pytest.mark.parametrize("value", ["true", " TRUE ", "perhaps"])
def test_the_sdks_own_metrics(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the SDK counts its spans, it makes all of them."""
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", value)
    own, _ = tracers(SpanLimits(), ALWAYS_ON)
    assert not isinstance(own, OwnTracer)


def test_a_simple_processor_is_one_of_others() -> None:
    """An exporter that the application adds gets what the SDK hands out at the end: a span that nobody can change."""
    exporter = InMemorySpanExporter()
    own, _ = tracers(SpanLimits(), ALWAYS_ON, processor=SimpleSpanProcessor(exporter))
    own.start_span("a", None, SpanKind.SERVER, {"a": 1}).end()
    (exported,) = exporter.get_finished_spans()
    assert type(exported) is ReadableSpan
