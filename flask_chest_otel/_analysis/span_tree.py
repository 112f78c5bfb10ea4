"""Orders child spans as a tree."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flask_chest_otel._records.record import ChildSpan

__all__ = ["in_tree_order", "label"]

TEXTS = ("db.query.text", "db.statement", "url.full", "http.url", "error.type")
"""Attributes that tell more than the name of a span. The first that a span has is shown."""


def in_tree_order(spans: Iterable[ChildSpan]) -> Iterator[tuple[int, ChildSpan]]:
    """Yield depth and span: parents before their children, in the order of their begin, each span once."""
    spans = list(spans)
    known = {one.span_id for one in spans}
    below: dict[str | None, list[ChildSpan]] = defaultdict(list)
    for one in spans:
        below[one.parent_id if one.parent_id in known and one.parent_id != one.span_id else None].append(one)
    waiting, seen = [(0, one) for one in _last_first(below[None])], set()
    while waiting:
        depth, one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield depth, one
            waiting += [(depth + 1, child) for child in _last_first(below[one.span_id])]
    # Spans whose parents form a circle. This package does not write such spans, but another program may.
    yield from ((0, one) for one in spans if id(one) not in seen)


def label(name: str, attributes: Mapping[str, object]) -> str:
    """Return what a span is called for people: its name with the first of ``TEXTS``, or a query alone.

    Instrumentations call a query by its verb and the database, which for SQLite is the path of a file.
    """
    more = " ".join(next((str(attributes[key]) for key in TEXTS if attributes.get(key)), "").split())
    if not more or _verb(more) == _verb(name):
        return more or name
    return f"{name}: {more}"


def _verb(text: str) -> list[str]:
    return text.upper().split(None, 1)[:1]


def _last_first(spans: Iterable[ChildSpan]) -> list[ChildSpan]:
    return sorted(spans, key=lambda one: one.start_unix_ns)[::-1]
