"""Data of the page of tracked variables: their values, and the errors and durations of requests with each value."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._records.schema import read_value
from flask_chest_otel.tracked import looks_like_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeGuard

    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["variable_data", "variables_data"]

LOOKED_AT = 5000
"""How many of the newest requests the figures are made of, at most."""

TOP_VALUES = 20
BINS = 24


class _Request(NamedTuple):
    """What the figures need of one request."""

    status: int
    duration_ms: float
    variables: dict[str, object]


def variables_data(reader: StoreReader, given: Filter) -> dict[str, object]:
    """Return for every variable how many requests have it, how many values it has, and its sum where it is a number."""
    requests = _looked_at(reader, given)
    values: dict[str, list[object]] = defaultdict(list)
    for request in requests:
        for name, value in request.variables.items():
            values[name].append(value)
    return {
        "looked_at": len(requests),
        "most": LOOKED_AT,
        "variables": [_summary(name, found) for name, found in sorted(values.items())],
    }


def variable_data(reader: StoreReader, given: Filter, name: str) -> dict[str, object]:
    """Return the most frequent values of one variable with errors and durations, and a histogram of its numbers."""
    requests = [request for request in _looked_at(reader, given, name) if name in request.variables]
    by_value: dict[str, list[_Request]] = defaultdict(list)
    for request in requests:
        by_value[_text(request.variables[name])].append(request)
    ranked = sorted(by_value.items(), key=lambda item: (-len(item[1]), *_order(item[1][0].variables[name])))
    values = [request.variables[name] for request in requests]
    return {
        **_summary(name, values),
        "top": [{"value": value, **_figures(group, len(requests))} for value, group in ranked[:TOP_VALUES]],
        "further": max(0, len(ranked) - TOP_VALUES),
        "bins": _bins(filter(_is_number, values)),
    }


def _looked_at(reader: StoreReader, given: Filter, *names: str) -> list[_Request]:
    wanted = reader.newest(given.wanted, LOOKED_AT)
    found = {fact.key: _Request(fact.status, fact.duration_ms, {}) for fact in reader.facts(wanted)}
    for fact in reader.variable_facts(wanted, names):
        found[fact.key].variables[fact.name] = read_value(fact.type, fact.text)
    if given.text:
        having = {row.key for row in reader.requests(wanted, LOOKED_AT) if given.has(row)}
        found = {key: request for key, request in found.items() if key in having}
    return list(found.values())


def _summary(name: str, values: Sequence[object]) -> dict[str, object]:
    numbers = [float(value) for value in values if _is_number(value)]
    # The sum of numeric ids means nothing.
    is_amount = len(numbers) == len(values) and bool(numbers) and not looks_like_id(name)
    return {
        "name": name,
        "count": len(values),
        "different": len(set(map(_text, values))),
        "sum": math.fsum(numbers) if is_amount else None,
        "mean": math.fsum(numbers) / len(numbers) if is_amount else None,
        "lowest": min(numbers) if is_amount else None,
        "highest": max(numbers) if is_amount else None,
    }


def _figures(group: Sequence[_Request], all_of_them: int) -> dict[str, object]:
    times = sorted(request.duration_ms for request in group)
    errors = sum(request.status >= SERVER_ERROR for request in group)
    return {
        "count": len(group),
        "share": len(group) / all_of_them,
        "errors": errors,
        "error_share": errors / len(group),
        "p95_ms": times[math.ceil(0.95 * len(times)) - 1],
    }


def _bins(numbers: Iterable[float]) -> list[dict[str, object]]:
    """Return a histogram of numbers, in ``BINS`` ranges of the same width."""
    ranked = sorted(map(float, numbers))
    if not ranked or ranked[0] == ranked[-1]:
        return []
    low, width = ranked[0], (ranked[-1] - ranked[0]) / BINS
    if not math.isfinite(width) or width == 0:
        return []
    counts = [0] * BINS
    for number in ranked:
        counts[min(BINS - 1, int((number - low) / width))] += 1
    return [
        {"from": low + place * width, "to": low + (place + 1) * width, "count": n} for place, n in enumerate(counts)
    ]


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _order(value: object) -> tuple[float, str]:
    """Return what numbers are sorted by, and before them texts."""
    return (float(value), "") if _is_number(value) else (-math.inf, _text(value))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return str(value)
