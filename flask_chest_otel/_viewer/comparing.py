"""Data of the page that compares two versions, or two spans of time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask_chest_otel._analysis.compare import compare
from flask_chest_otel._analysis.sides import group_of_side, side_of
from flask_chest_otel._analysis.times import TimeTextError
from flask_chest_otel._store.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask_chest_otel._store.reader import StoreReader

__all__ = ["compare_data"]

NAMES = {"rate": "Requests per second", "errors": "Server errors", "p50": "P50", "p95": "P95"}


def compare_data(reader: StoreReader, args: Mapping[str, str]) -> dict[str, object]:
    """Compare two sides.

    Args:
        reader: The store.
        args: Parameters of the address: ``a`` and ``b`` are a version or a span of time each.

    Returns:
        The figures as ``compared``; ``None`` while a side is missing or wrong; ``trouble`` says what is wrong.
    """
    named = {row.group[0] for row in reader.overview(Wanted(), by=("version",))}
    versions = sorted(version for version in named if version and version.isprintable())
    a, b = args.get("a", "").strip(), args.get("b", "").strip()
    data: dict[str, object] = {"versions": versions, "a": a, "b": b, "compared": None, "trouble": None}
    if not (a and b):
        return data
    try:
        now_unix_ns = time.time_ns()
        sides = [side_of(text, Wanted(), versions, now_unix_ns, utc=True) for text in (a, b)]
    except TimeTextError as error:
        return {**data, "trouble": f"{error}; or a version: {', '.join(versions) or 'none is known'}"}
    groups = [group_of_side(reader, side) for side in sides]
    empty = [text for text, group in zip((a, b), groups, strict=True) if not group.durations_ms]
    if empty:
        return {**data, "trouble": f"there is no request of {' and none of '.join(empty)}"}
    found = compare(*groups)
    measures = [{**one._asdict(), "words": NAMES.get(one.name, one.name)} for one in found.measures]
    return {**data, "compared": {"requests": list(found.requests), "measures": measures}}
