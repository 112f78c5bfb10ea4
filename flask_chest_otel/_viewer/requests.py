"""Data of the table of requests, and of the page of one request."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from flask_chest_otel._analysis.span_tree import in_tree_order
from flask_chest_otel._records.schema import began_unix_ns
from flask_chest_otel._store.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask_chest_otel._records.record import ChildSpan
    from flask_chest_otel._store.answers import RequestDetails, StoredRequest
    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["columns_of", "moment", "neighbours", "newest", "request_data", "requests_data"]

PAGE = 50
"""Number of requests on one page."""

LOOKED_THROUGH = 1000
"""How many of the newest requests are searched for free text; the store has no index of texts."""

MOST_COLUMNS = 6
"""How many variables have a column of their own; the others share one column."""

NEIGHBOURS = 8


def requests_data(reader: StoreReader, given: Filter, before: str = "") -> dict[str, object]:
    """Return a page of requests, the newest first.

    Args:
        reader: The store.
        given: Which requests.
        before: Key of a request; only older ones are returned. ``""``: the newest.
    """
    found = newest(reader, given, before, PAGE + 1)
    shown = found[:PAGE]
    return {
        "requests": [asdict(request) for request in shown],
        "columns": columns_of(shown),
        "older": shown[-1].key if len(found) > PAGE else None,
        "newest_arrival": reader.last_arrived(),
        "looked_through": LOOKED_THROUGH if given.text else None,
    }


def newest(reader: StoreReader, given: Filter, before: str, limit: int) -> list[StoredRequest]:
    """Return at most ``limit`` requests of a filter that are older than ``before``, the newest first."""
    wanted = given.wanted
    at = moment(before)
    if at is not None:
        # Requests of the same nanosecond are sorted out below by their keys.
        until = min(at + 1, wanted.until_unix_ns or at + 1)
        wanted = replace(wanted, until_unix_ns=until)
    rows = reader.requests(wanted, LOOKED_THROUGH if given.text else limit + 1)
    return [row for row in reversed(rows) if (not before or row.key < before) and given.has(row)][:limit]


def moment(key: str) -> int | None:
    """Return the time in a key, nanoseconds since 1970 UTC; ``None`` where the text is no key of the store."""
    return (began_unix_ns(key) or None) if len(key) == 32 else None  # noqa: PLR2004 - the length of all keys


def columns_of(shown: Sequence[StoredRequest]) -> list[str]:
    """Return the variables that get a column of their own: the most frequent ones, sorted by name."""
    frequent = Counter(name for request in shown for name in request.variables)
    return sorted(name for name, _ in frequent.most_common(MOST_COLUMNS))


def request_data(details: RequestDetails) -> dict[str, object]:
    """Return everything about one request as JSON values."""
    request, spans, logs = details
    return {
        "request": asdict(request),
        "spans": _tree(request, spans),
        "logs": [line._asdict() for line in logs],
        "start_ns": began_unix_ns(request.key),
        "time_went": _time_went(request),
    }


def _tree(request: StoredRequest, spans: Sequence[ChildSpan]) -> list[dict[str, object]]:
    """Return child spans after their parents, each with its depth.

    ``offset`` and ``part`` are the begin and the length of its bar, as parts of the request's duration.
    """
    start_ns, whole_s = began_unix_ns(request.key), max(request.duration_ms / 1000, 1e-9)
    found: list[dict[str, object]] = []
    for depth, span in in_tree_order(spans):
        offset = (span.start_unix_ns - start_ns) / 1e9 / whole_s
        found.append(
            {
                **span._asdict(),
                "attributes": dict(span.attributes),
                "events": [{**event._asdict(), "attributes": dict(event.attributes)} for event in span.events],
                "depth": depth,
                "offset": min(1.0, max(0.0, offset)),
                "part": min(1.0, max(0.0, span.duration_s / whole_s)),
            }
        )
    return found


def _time_went(request: StoredRequest) -> list[dict[str, object]]:
    """Return how long child spans of each kind took, and the processor time of the request's thread."""
    kinds = {"db": "database", "http": "calls of other services", "other": "other spans"}
    found = [
        {"name": kinds.get(kind, kind), "count": count, "ms": round(ms, 3)}
        for kind, (count, ms) in request.timings.items()
        if count
    ]
    if request.cpu_ms is not None:
        found.append({"name": "cpu time", "count": None, "ms": request.cpu_ms})
    return found


def neighbours(reader: StoreReader, request: StoredRequest, name: str) -> list[StoredRequest]:
    """Return requests with the same value of a variable: those just before this request, and those just after."""
    value = request.variables.get(name)
    if value is None or isinstance(value, (list, tuple)):
        return []
    text = str(value).lower() if isinstance(value, bool) else str(value)
    same = Wanted(variables=((name, text),))
    at = began_unix_ns(request.key)
    before = reader.requests(replace(same, until_unix_ns=at), NEIGHBOURS // 2)
    after = [row for row in reader.requests(replace(same, since_unix_ns=at), 200) if row.key > request.key]
    return [*before, *after[: NEIGHBOURS // 2]]
