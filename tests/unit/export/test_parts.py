"""Requests in parts: nothing is lost, doubled or moved."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flask_chest_otel._otlp.parts import Part, name_of, parts_of

SHAPES = st.lists(st.lists(st.lists(st.integers(0, 60), max_size=4), max_size=3), max_size=3)
LEVELS = (
    *("resource_spans", "scope_spans", "spans"),
    *("resource_metrics", "scope_metrics", "metrics"),
    *("resource_logs", "scope_logs", "log_records"),
)
KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")


def traces(shape: list[list[list[int]]]) -> Any:
    request = ExportTraceServiceRequest()
    for number, scopes in enumerate(shape):
        group = request.resource_spans.add(schema_url=f"r{number}")
        group.resource.attributes.add(key="r").value.int_value = number
        for inner, sizes in enumerate(scopes):
            scope = group.scope_spans.add(schema_url=f"{number}.{inner}")
            scope.scope.name = f"{number}.{inner}"
            for place, size in enumerate(sizes):
                scope.spans.add(name=f"{number}.{inner}.{place}" + "x" * size)
    return request


def logs(shape: list[list[list[int]]]) -> Any:
    request = ExportLogsServiceRequest()
    for number, scopes in enumerate(shape):
        group = request.resource_logs.add(schema_url=f"r{number}")
        for inner, sizes in enumerate(scopes):
            scope = group.scope_logs.add()
            scope.scope.name = f"{number}.{inner}"
            for place, size in enumerate(sizes):
                scope.log_records.add(severity_text=f"{number}.{inner}.{place}" + "x" * size)
    return request


def metrics(shape: list[list[list[int]]]) -> Any:
    request = ExportMetricsServiceRequest()
    for number, scopes in enumerate(shape):
        group = request.resource_metrics.add(schema_url=f"r{number}")
        scope = group.scope_metrics.add()
        for inner, sizes in enumerate(scopes):
            kind = KINDS[inner % len(KINDS)]
            metric = scope.metrics.add(name=f"{number}.{inner}", unit="s", description="d")
            getattr(metric, kind).SetInParent()
            if kind not in ("gauge", "summary"):
                getattr(metric, kind).aggregation_temporality = 2
            if kind == "sum":
                metric.sum.is_monotonic = True
            for place, size in enumerate(sizes):
                point = getattr(metric, kind).data_points.add(time_unix_nano=place + 1)
                point.attributes.add(key="a").value.string_value = "x" * size
    return request


def leaves(message: Any, around: tuple[Any, ...] = ()) -> list[Any]:
    """Each span or point, with everything that stands around it, as text."""
    for name in LEVELS:
        if hasattr(message, name):
            rest = type(message)()
            rest.CopyFrom(message)
            rest.ClearField(name)
            return [leaf for child in getattr(message, name) for leaf in leaves(child, (*around, str(rest)))]
    if not hasattr(message, "WhichOneof") or not hasattr(message, "exponential_histogram"):
        return [(*around, str(message))]
    rest = type(message)()
    rest.CopyFrom(message)
    kind = message.WhichOneof("data")
    getattr(rest, kind).ClearField("data_points")
    return [(*around, str(rest), str(point)) for point in getattr(message, kind).data_points]


@given(SHAPES, st.integers(1, 400))
def test_the_parts_are_the_whole(shape: list[list[list[int]]], most_bytes: int) -> None:
    """All items in their order, each with its resource, scope and metric; each part within the bound, or one item."""
    for signal, request in (("traces", traces(shape)), ("metrics", metrics(shape)), ("logs", logs(shape))):
        expected = leaves(request)
        parts = parts_of(signal, Part(len(expected), request.SerializeToString()), most_bytes)
        found = [leaves(type(request).FromString(part.body)) for part in parts]
        assert [leaf for part in found for leaf in part] == expected
        assert [part.items for part in parts] == [len(part) for part in found]
        assert all(len(part.body) <= most_bytes or part.items <= 1 for part in parts)


def test_what_cannot_be_read_stays_whole() -> None:
    """It is for the collector to say what is wrong with it."""
    assert parts_of("traces", Part(7, b"\xff" * 100), 10) == [Part(7, b"\xff" * 100)]
    assert name_of("traces", b"\xff" * 100) == ""


def test_names() -> None:
    """What is put aside is known by its span's or metric's name."""
    assert name_of("traces", traces([[[0]]]).SerializeToString()) == "0.0.0"
    assert name_of("metrics", metrics([[[0]]]).SerializeToString()) == "0.0"
    assert name_of("metrics", b"") == ""
