"""Our encoder of spans against OpenTelemetry's: both are decoded with OTLP's own messages, and say the same."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanContext

from flask_chest_otel import _guard
from flask_chest_otel._otlp import spans as module
from flask_chest_otel._otlp import wire
from flask_chest_otel._otlp.spans import SpanEncoder
from tests.unit.export.any_span import batches, contents, readable_spans, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

thorough = settings(max_examples=int(os.environ.get("CHEST_EXAMPLES", "60")))
"""Set the variable to look longer."""

pytestmark = pytest.mark.guard_on


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """What the SDK and its encoder say of each odd value is no news here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def no_name(_resource: object) -> None:
    """Leave a resource's message as it is."""


encoder = SpanEncoder(no_name)
"""One for all tests, as one encodes all spans of a process."""


def said(body: bytes) -> list[tuple[bytes, str, bytes, str, bytes]]:
    """Each span with what stands around it, as bytes of a message that was decoded: NaN is not NaN's equal."""
    return sorted(
        (packed(group.resource), group.schema_url, packed(scoped.scope), scoped.schema_url, packed(span))
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scoped in group.scope_spans
        for span in scoped.spans
    )


def packed(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


def official(spans: Sequence[ReadableSpan]) -> list[tuple[bytes, str, bytes, str, bytes]]:
    """The same of OpenTelemetry's encoder, without spans that it raises for."""
    found = []
    for span in spans:
        with suppress(Exception):  # its exporters would lose the batch
            found += said(encode_spans([span]).SerializeToString())
    return sorted(found)


@pytest.mark.slow
@given(batches)
@thorough
def test_batches(batch: list[Any]) -> None:
    """Whatever is in the spans of a batch, all that OpenTelemetry's encoder can encode say the same."""
    spans = [one if isinstance(one, ReadableSpan) else span_of(one) for one in batch]
    expected = official(spans)
    count, body = encoder.encode(spans)
    assert (count, said(body)) == (len(expected), expected)


@pytest.mark.slow
@given(contents)
@thorough
def test_spans_of_the_sdk(content: dict[str, Any]) -> None:
    """Spans that came through the SDK, with its limits, say the same."""
    span = span_of(content)
    assert said(encoder.encode([span])[1]) == official([span])


@pytest.mark.slow
@given(readable_spans())
@thorough
def test_spans_of_others(span: ReadableSpan) -> None:
    """Spans that nothing has looked at say the same, or are left out as there."""
    assert said(encoder.encode([span])[1]) == official([span])


def ended(attributes: dict[str, Any], resource: Resource | None = None) -> ReadableSpan:
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    span: Any = provider.get_tracer("t").start_span("s", attributes=attributes)
    span.end()
    found: ReadableSpan = span
    return found


def refused() -> int:
    return _guard.totals()[0].get("value", 0)


@pytest.mark.parametrize("value", ["\ud800", 2**63, -(2**63) - 1, ("a", "\udfff")])
def test_what_otlp_has_no_bytes_for_is_counted(value: Any) -> None:
    """Such a value costs a span its attribute and no more, as OpenTelemetry's encoder has it, and is counted."""
    before = refused()
    count, body = encoder.encode([ended({"poison": value, "sound": 1}), ended({"sound": 2})])
    first, second = (span for group in read(body) for scoped in group.scope_spans for span in scoped.spans)
    assert (count, refused() - before) == (2, 1)
    assert [one.key for one in first.attributes] == ["sound"] == [one.key for one in second.attributes]


def read(body: bytes) -> Any:
    return ExportTraceServiceRequest.FromString(body).resource_spans


def test_a_span_that_nobody_can_encode() -> None:
    """It takes no other with it, and the error is counted."""
    before = _guard.totals()[1].get("encoding a span", 0)
    broken = ReadableSpan("s", SpanContext(2**128, 1, is_remote=False))
    count, body = encoder.encode([ended({"a": 1}), broken, ended({"a": 2})])
    assert count == 2
    assert len(said(body)) == 2
    assert _guard.totals()[1]["encoding a span"] - before == 1


def test_usual_spans_are_written_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No span with values of the usual kinds goes through OpenTelemetry's encoder."""
    fresh = SpanEncoder(no_name)
    usual = {"t": "text", "é": "€", "i": -1, "f": 0.5, "b": True, "l": ("a", "b"), "n": (1, 2), "y": b"\xff"}
    first = ended(usual, Resource({"service.name": "one"}))
    fresh.encode([first])
    monkeypatch.setattr(module, "encode_spans", None)
    assert fresh.encode([first, first])[0] == 2


def test_depth() -> None:
    """Lists in lists: at sixteen others decide; the collector's and everybody's decoders have bounds of their own."""
    for depth in (1, wire.DEEPEST, wire.DEEPEST + 1, 40):
        value: Any = "x"
        for _ in range(depth):
            value = (value,)
        span = ReadableSpan("s", SpanContext(1, 1, is_remote=False), attributes={"a": value})
        assert said(encoder.encode([span])[1]) == official([span])


def test_what_is_remembered_is_bounded() -> None:
    """Keys, sizes of values, resources and scopes beyond the bounds take no memory, and come out right."""
    writer = SpanEncoder(no_name)
    for number in range(2 * wire.MOST_KEYS + 5):
        spans = [ended({f"key {number}": "x" * number, "i": number}, Resource({"number": number}))]
        assert said(writer.encode(spans)[1]) == official(spans)
    attributes = writer._attributes  # noqa: SLF001 - what it holds is the question
    assert len(attributes._texts) <= wire.MOST_KEYS  # noqa: SLF001
    assert max(map(len, attributes._texts.values())) <= wire.MOST_BYTES  # noqa: SLF001
    assert len(writer._groups) <= module.MOST_GROUPS  # noqa: SLF001


def test_one_group_for_equal_surroundings() -> None:
    """Spans of one resource and scope stand together, whoever stands between them."""
    one, other = Resource({"service.name": "one"}), Resource({"service.name": "other"})
    body = encoder.encode([ended({}, one), ended({}, other), ended({}, Resource({"service.name": "one"}))])[1]
    assert [[len(scoped.spans) for scoped in group.scope_spans] for group in read(body)] == [[2], [1]]
