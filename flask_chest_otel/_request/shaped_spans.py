"""The child spans of a record, which take their final shape when somebody reads them.

To bound, clean and mask a span takes longer than to take it, and the request need not wait for that: it is done by the
thread that writes the record, and not at all for records whose spans nobody keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask_chest_otel._records.record import ChildSpan

__all__ = ["EndedSpan", "Shape", "ShapedSpans"]

EndedSpan = tuple[int, int, Any]
"""How long a span took in nanoseconds, which number it had in the order of ends, and the span."""

Shape = Callable[[Any], Any]
"""Makes what a record keeps (a ``ChildSpan``) of a span that has ended."""


class ShapedSpans(Sequence["ChildSpan"]):
    """A sequence that is a tuple to whoever reads it.

    Args:
        ended: Spans, in any order.
        shape: Makes what is kept of one.
    """

    __slots__ = ("_count", "_ended", "_shape", "_shaped")

    def __init__(self, ended: Sequence[EndedSpan], shape: Shape) -> None:
        self._count = len(ended)
        self._ended = ended
        self._shape = shape
        self._shaped: tuple[ChildSpan, ...] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        return self._tuple()[place]

    def __eq__(self, other: object) -> bool:
        return self._tuple() == (other._tuple() if isinstance(other, ShapedSpans) else other)

    def __hash__(self) -> int:
        return hash(self._tuple())

    def __repr__(self) -> str:
        return repr(self._tuple())

    def __reduce__(self) -> Any:
        return tuple, (list(self._tuple()),)

    def _tuple(self) -> tuple[ChildSpan, ...]:
        ended, shaped = self._ended, self._shaped
        if shaped is None:
            # Of two threads that come at once, each does the same.
            shaped = self._shaped = tuple([self._shape(span) for _, _, span in sorted(ended, key=_begin_of)])
            self._ended = ()  # the SDK's objects go
        return shaped


def _begin_of(ended: EndedSpan) -> tuple[int, int]:
    _, number, span = ended
    return span.start_time or 0, -number  # of two that began at once, the outer one ended last
