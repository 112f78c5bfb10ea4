"""Prints requests as a table that fits the terminal."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from flask_chest_otel._base.statuses import CLIENT_ERROR, SERVER_ERROR
from flask_chest_otel._base.text import shown_value
from flask_chest_otel._cli import times
from flask_chest_otel._cli.output import ERROR, MISSING, WARNING, milliseconds, safe, say_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask_chest_otel._cli.output import Style
    from flask_chest_otel._store.answers import StoredRequest

__all__ = ["COLUMNS", "RequestTable", "short_ids"]

FEWEST_ID_CHARS = 8
"""Smallest number of characters of a long id; `flask chest show` takes any unique beginning."""

SHORT_ID_CHARS = 16
"""Ids of up to this many characters are shown whole."""


def _child_spans(kind: str) -> Callable[[StoredRequest], str]:
    def cell(request: StoredRequest) -> str:
        count, took_ms = request.timings.get(kind, (0, 0.0))
        return f"{count} in {milliseconds(took_ms)}" if count else MISSING

    return cell


COLUMNS: dict[str, tuple[str, Callable[[StoredRequest], str]]] = {
    "service": ("SERVICE", lambda one: safe(one.service)),
    "method": ("METHOD", lambda one: safe(one.method)),
    "route": ("ROUTE", lambda one: safe(one.route)),
    "path": ("PATH", lambda one: safe(one.path)),
    "request": ("REQUEST", lambda one: f"{safe(one.method)} {safe(one.route or one.path or None)}"),
    "status": ("STATUS", lambda one: str(one.status)),
    "ms": ("MS", lambda one: milliseconds(one.duration_ms)),
    "cpu": ("CPU MS", lambda one: milliseconds(one.cpu_ms)),
    "first_byte": ("FIRST BYTE MS", lambda one: milliseconds(one.first_byte_ms)),
    "db": ("DB", _child_spans("db")),
    "http": ("HTTP", _child_spans("http")),
    "key": ("KEY", lambda one: safe(one.key)),
    "trace": ("TRACE ID", lambda one: safe(one.trace_id)),
    "version": ("VERSION", lambda one: safe(one.version)),
    "error": ("ERROR", lambda one: MISSING if one.error is None else safe(one.error.type.rpartition(".")[2])),
    "place": ("PLACE", lambda one: MISSING if one.error is None else safe(one.error.place or None)),
    "message": ("MESSAGE", lambda one: MISSING if one.error is None else safe(one.error.message)),
    "variables": (
        "VARIABLES",
        lambda one: " ".join(f"{safe(name)}={safe(shown_value(value))}" for name, value in one.variables.items()),
    ),
}
"""Name of a column to its head and the function for its cells.

The columns ``time`` and ``id`` are not here, because their cells depend on all rows. Any other name is a variable.
"""

RIGHT = {"status", "ms", "cpu", "first_byte"}

FLEXIBLE = {
    "request": 16,
    "route": 12,
    "path": 12,
    "message": 12,
    "place": 12,
    "error": 8,
    "variables": 12,
    "service": 6,
}
"""Columns that may be cut on a narrow terminal, with their smallest widths."""


class RequestTable:
    """Prints requests in columns; each further call goes on below, in the same columns.

    Args:
        chosen: Names of columns; empty: the usual ones.
        utc: Whether times are shown in UTC.
        with_errors: Whether the usual columns include errors, even if the first requests have none.
    """

    def __init__(self, chosen: Sequence[str] = (), *, utc: bool, with_errors: bool = False) -> None:
        self._names = list(chosen)
        self._utc = utc
        self._with_errors = with_errors
        self._widths: list[int] = []

    def say(self, found: Sequence[StoredRequest]) -> None:
        """Print requests; the first call prints the head, too."""
        names = self._names = self._names or self._usual(found)
        special = {
            "time": times.clock((one.time for one in found), utc=self._utc),
            "id": short_ids([one.request_id for one in found]),
        }
        say_table(
            [_head(name) for name in names],
            [[_cell(name, one, special) for name in names] for one in found],
            right=[at for at, name in enumerate(names) if name in RIGHT],
            flexible={at: FLEXIBLE.get(name, FEWEST_ID_CHARS) for at, name in enumerate(names) if _is_flexible(name)},
            styles={(row, at): _style(name, one) for row, one in enumerate(found) for at, name in enumerate(names)},
            before=self._widths,
        )

    def missing(self, found: Sequence[StoredRequest]) -> list[str]:
        """Return chosen columns that are no column and no variable of these requests; they may be misspelt."""
        if not found:
            return []
        variables = [name for name in self._names if name not in {"time", "id", *COLUMNS}]
        return [name for name in variables if all(name not in one.variables for one in found)]

    def _usual(self, found: Sequence[StoredRequest]) -> list[str]:
        several = len({one.service for one in found}) > 1
        failed = self._with_errors or any(one.error is not None for one in found)
        return ["time", *["service"] * several, "status", "ms", "id", "request", *["error"] * failed, "variables"]


def _cell(name: str, one: StoredRequest, special: Mapping[str, Mapping[str, str]]) -> str:
    if name in special:
        return safe(special[name][one.time if name == "time" else one.request_id])
    return COLUMNS[name][1](one) if name in COLUMNS else _variable(one.variables, name)


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return for each id the text to show: long ids are cut where they still differ from the others."""
    distinct = sorted(set(ids))
    longest = FEWEST_ID_CHARS
    for one, other in pairwise(distinct):
        same = next(
            (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
        )
        longest = max(longest, same + 1)
    return {one: one if len(one) <= SHORT_ID_CHARS else one[:longest] for one in distinct}


def _head(name: str) -> str:
    return {"time": "TIME", "id": "ID"}.get(name) or (COLUMNS[name][0] if name in COLUMNS else safe(name))


def _variable(variables: Mapping[str, object], name: str) -> str:
    return safe(shown_value(variables[name])) if name in variables else MISSING


def _is_flexible(name: str) -> bool:
    return name in FLEXIBLE or name not in {"time", "id", *COLUMNS}


def _style(name: str, one: StoredRequest) -> Style:
    if name == "error":
        return ERROR if one.error is not None else {}
    if name == "status" and one.status >= CLIENT_ERROR:
        return ERROR if one.status >= SERVER_ERROR else WARNING
    return {}
