"""Prints child spans as a tree, with bars that show when each ran and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._analysis.span_tree import in_tree_order, label
from flask_chest_otel._analysis.times import unix_ns
from flask_chest_otel._cli.output import ERROR, bar, columns_here, milliseconds, say_table, whole
from flask_chest_otel._cli.widths import cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask_chest_otel._records.record import ChildSpan
    from flask_chest_otel._store.answers import StoredRequest

__all__ = ["say_tree"]

NAME_COLUMNS = 34
"""Smallest width of the tree; a wide terminal has more of a query."""

MOST_BAR_COLUMNS = 40
"""Largest width of the bars."""

DEEPEST = 12
"""How many levels are indented; deeper ones have the same indent."""


def say_tree(spans: Sequence[ChildSpan], request: StoredRequest) -> None:
    """Print the request and its spans, each with its milliseconds and a bar at its place in the request's time."""
    begin_ns = unix_ns(request.time)
    width = min(MOST_BAR_COLUMNS, max(10, columns_here() - NAME_COLUMNS - 12))
    columns = max(NAME_COLUMNS, columns_here() - width - 12)
    total_ns = max(1.0, request.duration_ms * 1e6, *(_end_ns(one) - begin_ns for one in spans))
    rows = [("the request", milliseconds(request.duration_ms), bar(request.duration_ms * 1e6 / total_ns, width))]
    for depth, one in in_tree_order(spans):
        begin = max(0.0, (one.start_unix_ns - begin_ns) / total_ns)
        failed = "! " if one.status == "error" else ""
        name = f"{'  ' * min(depth + 1, DEEPEST)}{failed}{whole(label(one.name, one.attributes))}"
        shown = bar(one.duration_s * 1e9 / total_ns, width, begin=begin)
        rows.append((cut(name, columns, "…"), milliseconds(one.duration_s * 1000), shown))
    styles = {(at, 0): ERROR for at, (_, one) in enumerate(in_tree_order(spans), start=1) if one.status == "error"}
    say_table(("CHILD SPANS", "MS", ""), rows, right=(1,), styles=styles)


def _end_ns(one: ChildSpan) -> float:
    return one.start_unix_ns + one.duration_s * 1e9
