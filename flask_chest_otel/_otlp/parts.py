"""Splits a request that is too large into parts; each part repeats resource and scope of its items."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # its stubs are another distribution
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from flask_chest_otel._otlp.signals import OTLP_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableSequence

__all__ = ["Part", "name_of", "parts_of"]


class Part(NamedTuple):
    """One part of a batch.

    Attributes:
        items: How many spans, data points or log records it has.
        body: The OTLP request, as protobuf.
    """

    items: int
    body: bytes


def parts_of(signal: str, whole: Part, most_bytes: int) -> list[Part]:
    """Split a request into parts of at most ``most_bytes``, in the order of its items.

    A part may be larger if it has only one item. A request that cannot be decoded stays whole.
    """
    if len(whole.body) <= most_bytes:
        return [whole]
    path = OTLP_SIGNALS[signal].path
    try:
        request = OTLP_SIGNALS[signal].request.FromString(whole.body)
    except DecodeError:  # the collector will refuse it with a message
        return [whole]
    items = _count(request, path)
    if items < 2:  # noqa: PLR2004 - one item cannot be halved
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
    """Return the name of the first span, metric or event in a request; ``""`` if the request cannot be decoded."""
    path = OTLP_SIGNALS[signal].path[:3]
    try:
        first = next(_walk(OTLP_SIGNALS[signal].request.FromString(body), path), None)
    except DecodeError:
        return ""
    return str(getattr(first, "name", "") or getattr(first, "event_name", ""))


def _walk(message: object, path: tuple[str, ...]) -> Iterator[object]:
    for child in _children(message, path[0]):
        if len(path) == 1:
            yield child
        else:
            yield from _walk(child, path[1:])


def _children(message: object, name: str) -> MutableSequence[object]:
    found: MutableSequence[object]
    if isinstance(message, Metric):
        kind = message.WhichOneof("data")
        found = getattr(message, kind).data_points if kind else []
    else:
        found = getattr(message, name)
    return found


def _count(message: object, path: tuple[str, ...]) -> int:
    children = _children(message, path[0])
    return len(children) if len(path) == 1 else sum(_count(child, path[1:]) for child in children)


def _keep(message: object, path: tuple[str, ...], start: int, stop: int) -> None:
    """Delete all items except those from ``start`` to ``stop``, and messages that become empty by that."""
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
