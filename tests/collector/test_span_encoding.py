"""Spans of our encoder and of OpenTelemetry's in the real collector: what it hands on of both is the same."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace.status import Status, StatusCode

from flask_chest_otel._otlp import spans as module
from flask_chest_otel._otlp.spans import SpanEncoder
from tests.backends import jsonl
from tests.backends.raw_otlp import HEADERS
from tests.backends.server import request
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    import pytest

    from tests.collector.conftest import StartCollector

STATE = TraceState([("a", "b")])
REMOTE = SpanContext(2**127 + 5, 2**63 + 7, is_remote=True, trace_flags=TraceFlags(1), trace_state=STATE)
VALUES: dict[str, Any] = {
    "text": "é€😀",
    "empty": "",
    "long": "x" * 20_000,
    "whole": 2**63 - 1,
    "negative": -(2**63),
    "float": -0.5,
    "true": True,
    "texts": ("a", "", "c"),
    "numbers": (1, -1, 300),
    "bools": (True, False),
    "bytes": b"\xff\x00",
    "mapping": {"in": {"in": ["it", 1]}},
}


def spans() -> list[ReadableSpan]:
    """What the SDK makes of everything that a span can have."""
    limits = SpanLimits(max_span_attributes=8, max_events=2, max_links=1)
    found = []
    for kind in SpanKind:
        for bounds in (SpanLimits(), limits):
            provider = TracerProvider(resource=Resource({"service.name": kind.name}), span_limits=bounds)
            links = [Link(REMOTE, {"l": 1}), Link(SpanContext(1, 2, is_remote=False), VALUES)]
            tracer = provider.get_tracer("scope", "1.0", "https://schema.example", {"s": 1})
            parent = set_span_in_context(NonRecordingSpan(REMOTE)) if kind is SpanKind.SERVER else None
            span: Any = tracer.start_span("name", parent, kind, VALUES, links, 1_700_000_000_000_000_001)
            for number in range(4):
                span.add_event(f"event {number}", VALUES, 1_700_000_000_000_000_002)
            span.set_status(Status(StatusCode.ERROR, "why") if kind is SpanKind.CLIENT else Status(StatusCode.OK))
            span.end(1_700_000_000_000_000_003)
            found.append(span)
    found.append(ReadableSpan("bare", REMOTE, events=[Event("e", {}, 5)], start_time=1, end_time=2))
    return found


def written(made: list[ReadableSpan], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What our encoder makes of them by itself: OpenTelemetry's is not there when it comes to the spans."""
    encoder = SpanEncoder(lambda _resource: None)
    encoder.encode(made)
    monkeypatch.setattr(module, "encode_spans", None)
    return encoder.encode(made)[1]


def test_the_collector_reads_the_same(start_collector: StartCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each span is twice in its file: with the same resource, scope, attributes, events, links, status and flags."""
    collector = start_collector("file")
    made = spans()
    for body in (encode_spans(made).SerializeToString(), written(made, monkeypatch)):
        assert request(f"{collector.otlp_http}/v1/traces", body, headers=HEADERS)[0] == 200
    path = collector.folder / "telemetry.jsonl"
    eventually(lambda: len(jsonl.surrounded_spans(path)), 2 * len(made))
    assert [*Counter(jsonl.surrounded_spans(path)).values()] == [2] * len(made)
