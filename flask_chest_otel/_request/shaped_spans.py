"""The child spans of a record, which take their final shape when somebody reads them.

To bound, clean and mask a span takes longer than to take it, and the request need not wait for that: it is done by the
thread that writes the record, and not at all for records whose spans nobody keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from flask_chest_otel._records.record import ChildSpan

__all__ = ["Shape", "ShapedSpans"]

Shape = Callable[[Any], Any]
"""Makes what a record keeps (a ``ChildSpan``) of a span that has ended."""


class ShapedSpans(Sequence["ChildSpan"]):
    """A sequence that is a tuple to whoever reads it.

    Args:
        spans: In their order.
        shape: Makes what is kept of one.
    """

    __slots__ = ("_count", "_shape", "_shaped", "_spans")

    def __init__(self, spans: tuple[ReadableSpan, ...], shape: Shape) -> None:
        self._count = len(spans)
        self._spans = spans
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
        spans, shaped = self._spans, self._shaped
        if shaped is None:
            # Of two threads that come at once, each does the same.
            shaped = self._shaped = tuple(map(self._shape, spans))
            self._spans = ()  # the SDK's objects go
        return shaped
