"""The child spans of a record, converted to their final form only when they are read.

To bound, clean and mask a span takes longer than to collect it, so the request does not do it. The thread that writes
the record does it when it reads the spans; spans that no chest keeps are never converted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, overload

from flask_chest_otel._guard import report_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from flask_chest_otel._records.record import ChildSpan

__all__ = ["EndedSpan", "LateSummary", "LateTimings", "Shape", "ShapedSpans", "times_of"]

EndedSpan = tuple[int, int, "ReadableSpan"]
"""The duration of a span in nanoseconds, its number in the order in which spans ended, and the span."""

Shape = Callable[["ReadableSpan"], "ChildSpan"]
"""Makes the ``ChildSpan`` for a span that has ended."""


Timings = dict[str, tuple[int, float]]
"""Kind of child span to the number of spans and the sum of their durations in seconds."""


class _Closed(Protocol):
    """The child spans of a request that has ended; nothing changes any more."""

    def summed(self) -> tuple[Timings, list[EndedSpan]]: ...


class LateSummary:
    """Sums up the child spans of a request when somebody asks for the first time.

    Args:
        closed: The child spans.
    """

    __slots__ = ("_closed", "_found")

    def __init__(self, closed: _Closed) -> None:
        self._closed: _Closed | None = closed
        self._found: tuple[Timings, list[EndedSpan]] = {}, []

    def timings(self) -> Timings:
        """The timings of all child spans."""
        return self._summed()[0]

    def entries(self) -> list[EndedSpan]:
        """The child spans that are kept."""
        return self._summed()[1]

    def release(self) -> None:
        """Let go of the SDK's objects; nobody asks for the spans again."""
        self._found = self.timings(), []

    def _summed(self) -> tuple[Timings, list[EndedSpan]]:
        closed = self._closed
        if closed is not None:
            # Two threads at the same time both compute the same result.
            try:
                self._found = closed.summed()
            except Exception as error:  # noqa: BLE001 - the record itself must not be lost
                report_error("child spans", error)
            self._closed = None
        return self._found


class LateTimings(Mapping[str, tuple[int, float]]):
    """A mapping that behaves like the dictionary of the timings, which is computed when it is first read.

    Args:
        summary: Computes it.
    """

    __slots__ = ("_summary",)

    def __init__(self, summary: LateSummary) -> None:
        self._summary = summary

    def __getitem__(self, kind: str) -> tuple[int, float]:
        return self._summary.timings()[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._summary.timings())

    def __len__(self) -> int:
        return len(self._summary.timings())

    def __repr__(self) -> str:
        return repr(self._summary.timings())

    def __reduce__(self) -> tuple[type[Timings], tuple[Timings]]:
        return dict, (self._summary.timings(),)


class ShapedSpans(Sequence["ChildSpan"]):
    """A sequence of ``ChildSpan`` that behaves like a tuple.

    Args:
        summary: Has the spans that have ended, in any order.
        count: Their number.
        shape: Makes the ``ChildSpan`` for one span.
    """

    __slots__ = ("_count", "_shape", "_shaped", "_summary")

    def __init__(self, summary: LateSummary, count: int, shape: Shape) -> None:
        self._count = count
        self._summary = summary
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
        if self._shaped is None:
            ended = sorted(self._summary.entries(), key=_begin_of)
            shaped = tuple([self._shape(span) for _, _, span in ended])
            # Of two threads at the same time, the later one may have found no entries: the first one's result stays.
            if self._shaped is None:
                self._shaped = shaped
            self._summary.release()
        return self._shaped


def _begin_of(ended: EndedSpan) -> tuple[int, int]:
    _, number, span = ended
    return times_of(span)[0], -number  # of two spans that began at the same time, the outer one ended last


def times_of(span: ReadableSpan) -> tuple[int, int]:
    """When a span began, nanoseconds since 1970 UTC, and its duration in nanoseconds.

    The SDK takes anything for a time. The wall clock may have been set back between start and end.
    """
    begin, end = span.start_time, span.end_time
    if not isinstance(begin, int):
        return 0, 0
    return begin, max(0, end - begin) if isinstance(end, int) else 0
