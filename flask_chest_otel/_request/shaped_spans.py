"""The child spans of a record, converted to their final form only when they are read.

To bound, clean and mask a span takes longer than to collect it, so the request does not do it. The thread that writes
the record does it when it reads the spans; spans that no chest keeps are never converted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from flask_chest_otel._records.record import ChildSpan

__all__ = ["EndedSpan", "Shape", "ShapedSpans"]

EndedSpan = tuple[int, int, "ReadableSpan"]
"""The duration of a span in nanoseconds, its number in the order in which spans ended, and the span."""

Shape = Callable[["ReadableSpan"], "ChildSpan"]
"""Makes the ``ChildSpan`` for a span that has ended."""


class ShapedSpans(Sequence["ChildSpan"]):
    """A sequence of ``ChildSpan`` that behaves like a tuple.

    Args:
        ended: The spans that have ended, in any order.
        shape: Makes the ``ChildSpan`` for one span.
    """

    __slots__ = ("_count", "_ended", "_shape", "_shaped")

    def __init__(self, ended: Sequence[EndedSpan], shape: Shape) -> None:
        self._count = len(ended)
        self._ended = ended
        self._shape = shape
        self._shaped: tuple[ChildSpan, ...] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> ChildSpan: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[ChildSpan, ...]: ...

    def __getitem__(self, place: int | slice) -> ChildSpan | tuple[ChildSpan, ...]:
        return self._tuple()[place]

    def __eq__(self, other: object) -> bool:
        return self._tuple() == (other._tuple() if isinstance(other, ShapedSpans) else other)

    def __hash__(self) -> int:
        return hash(self._tuple())

    def __repr__(self) -> str:
        return repr(self._tuple())

    def __reduce__(self) -> tuple[type[tuple[ChildSpan, ...]], tuple[list[ChildSpan]]]:
        return tuple, (list(self._tuple()),)

    def _tuple(self) -> tuple[ChildSpan, ...]:
        ended, shaped = self._ended, self._shaped
        if shaped is None:
            # Two threads at the same time both compute the same result.
            shaped = self._shaped = tuple([self._shape(span) for _, _, span in sorted(ended, key=_begin_of)])
            self._ended = ()  # release the SDK's objects
        return shaped


def _begin_of(ended: EndedSpan) -> tuple[int, int]:
    _, number, span = ended
    return span.start_time or 0, -number  # of two spans that began at the same time, the outer one ended last
