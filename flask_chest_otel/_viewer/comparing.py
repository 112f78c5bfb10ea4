"""Two versions, or two spans of time, side by side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flask_chest_otel._analysis.chosen import group_of
from flask_chest_otel._analysis.compare import compare
from flask_chest_otel._analysis.times import TimeTextError, read_span
from flask_chest_otel._store.reader import Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask_chest_otel._analysis.compare import Group
    from flask_chest_otel._store.reader import StoreReader

__all__ = ["compare_data"]

MOST = 20_000
"""The newest requests of each side that are looked at."""

NAMES = {"rate": "Requests per second", "errors": "Server errors", "p50": "P50", "p95": "P95"}


def compare_data(reader: StoreReader, args: Mapping[str, str]) -> dict[str, Any]:
    """The figures of both sides; ``compared`` is ``None`` as long as a side is missing, ``trouble`` says why.

    Args:
        reader: The store.
        args: ``a`` and ``b``: a version, or a span of time; ``route``: of this route alone.
    """
    named = {row.group[0] for row in reader.overview(Wanted(), by=("version",))}
    versions = sorted(version for version in named if version and version.isprintable())
    a, b = args.get("a", "").strip(), args.get("b", "").strip()
    data: dict[str, Any] = {"versions": versions, "a": a, "b": b, "compared": None, "trouble": None}
    if not (a and b):
        return data
    try:
        groups = [_group(reader, text, versions) for text in (a, b)]
    except TimeTextError as error:
        return {**data, "trouble": f"{error}; or a version: {', '.join(versions) or 'none is known'}"}
    empty = [text for text, group in zip((a, b), groups, strict=True) if not group.durations_ms]
    if empty:
        return {**data, "trouble": f"there is no request of {' and none of '.join(empty)}"}
    found = compare(*groups)
    measures = [{**one._asdict(), "words": NAMES.get(one.name, one.name)} for one in found.measures]
    return {**data, "compared": {"requests": list(found.requests), "measures": measures}}


def _group(reader: StoreReader, text: str, versions: list[str]) -> Group:
    if text in versions:
        span, wanted = None, Wanted(version=text)
    else:
        span = read_span(text, time.time_ns(), utc=True)
        wanted = Wanted(since_unix_ns=span.begin_unix_ns, until_unix_ns=span.end_unix_ns)
    return group_of(reader.facts(reader.newest(wanted, MOST)), span)
