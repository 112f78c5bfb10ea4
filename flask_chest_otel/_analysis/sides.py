"""Reads the two sides of a comparison: each is a version of the application, or a span of time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._analysis.chosen import group_of
from flask_chest_otel._analysis.times import Span, read_span

if TYPE_CHECKING:
    from collections.abc import Collection

    from flask_chest_otel._analysis.compare import Group
    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._store.wanted import Wanted

__all__ = ["Side", "group_of_side", "side_of"]


class Side(NamedTuple):
    """One side of a comparison.

    Attributes:
        name: The text that was typed.
        wanted: Which requests belong to it.
        span: The span of time; ``None`` for a version.
    """

    name: str
    wanted: Wanted
    span: Span | None


def side_of(text: str, wanted: Wanted, versions: Collection[str], now_unix_ns: int, *, utc: bool) -> Side:
    """Read one side.

    Args:
        text: A version, or a span of time: see ``times.SPAN_FORMS``.
        wanted: Further conditions for its requests.
        versions: The versions in the store.
        now_unix_ns: The present, nanoseconds since 1970 UTC.
        utc: Whether times without an offset are UTC.

    Raises:
        TimeTextError: The text is neither a version nor a span of time.
    """
    if text in versions and text:
        return Side(text, replace(wanted, version=text), None)
    span = read_span(text, now_unix_ns, utc=utc)
    # A day that is not over ends now.
    span = Span(span.begin_unix_ns, max(span.begin_unix_ns + 1, min(span.end_unix_ns, now_unix_ns)))
    return Side(text, replace(wanted, since_unix_ns=span.begin_unix_ns, until_unix_ns=span.end_unix_ns), span)


def group_of_side(reader: StoreReader, side: Side) -> Group:
    """Return the figures of a side's requests, of which there may be none."""
    group = group_of(reader.facts(side.wanted), side.span)
    if side.span is not None and side.span.begin_unix_ns == 0 and group.starts_unix_ns:
        # The text named no begin: the first request is the begin.
        return replace(group, span=Span(min(group.starts_unix_ns), side.span.end_unix_ns))
    return group
