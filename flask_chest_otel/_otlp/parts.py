"""A request that is too large, in parts: each has what stands around its spans or data points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its stubs are another distribution
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Part", "name_of", "parts_of"]

_REQUESTS: dict[str, Any] = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest}
_PATHS = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics", "data_points"),
}


class Part(NamedTuple):
    """Some of a batch.

    Attributes:
        items: How many spans or data points it has.
        body: They as an OTLP request.
    """

    items: int
    body: bytes


def parts_of(signal: str, whole: Part, most_bytes: int) -> list[Part]:
    """A request in its order, in parts of at most ``most_bytes``; one span or data point may be larger."""
    if len(whole.body) <= most_bytes:
        return [whole]
    path = _PATHS[signal]
    try:
        request = _REQUESTS[signal].FromString(whole.body)
    except DecodeError:  # whoever gets it will say so
        return [whole]
    items = _count(request, path)
    if items < 2:  # noqa: PLR2004 - what can be halved
        return [whole]
    half = items // 2
    second = type(request).FromString(whole.body)
    _keep(request, path, 0, half)
    _keep(second, path, half, items)
    return [
        part
        for piece in (Part(half, request.SerializeToString()), Part(items - half, second.SerializeToString()))
        for part in parts_of(signal, piece, most_bytes)
    ]


def name_of(signal: str, body: bytes) -> str:
    """The name of the first span or metric of a request; nothing where it cannot be read."""
    path = _PATHS[signal][:3]
    try:
        return next((str(found.name) for found in _walk(_REQUESTS[signal].FromString(body), path)), "")
    except DecodeError:
        return ""


def _walk(message: Any, path: tuple[str, ...]) -> Iterator[Any]:
    for child in _children(message, path[0]):
        if len(path) == 1:
            yield child
        else:
            yield from _walk(child, path[1:])


def _children(message: Any, name: str) -> Any:
    if name != "data_points":
        return getattr(message, name)
    kind = message.WhichOneof("data")
    return getattr(message, kind).data_points if kind else []


def _count(message: Any, path: tuple[str, ...]) -> int:
    children = _children(message, path[0])
    return len(children) if len(path) == 1 else sum(_count(child, path[1:]) for child in children)


def _keep(message: Any, path: tuple[str, ...], start: int, stop: int) -> None:
    """Take away all items but those from ``start`` to ``stop``, and what has none of them."""
    children = _children(message, path[0])
    if len(path) == 1:
        del children[max(stop, 0) :]
        del children[: max(start, 0)]
        return
    end = _count(message, path)
    for index in reversed(range(len(children))):
        first = end - _count(children[index], path[1:])
        if first >= stop or end <= start:
            del children[index]
        else:
            _keep(children[index], path[1:], start - first, stop - first)
        end = first
