"""Which requests a question to the store is about, as a condition in SQL."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from flask_chest_otel._records.schema import clean, key_at
from flask_chest_otel.names import KNOWN_METHODS, OTHER_METHOD

__all__ = ["ANY_ERROR", "Wanted", "conditions"]

ANY_ERROR = "*"
"""As ``Wanted.error_type``: requests that recorded an exception, whichever."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests: those for which all that is given here holds.

    Attributes:
        since_unix_ns: Begun at this time or later, nanoseconds since 1970 UTC.
        route: The URL rule; ``""`` stands for requests that matched none.
        method: HTTP method, in capitals; ``_OTHER`` stands for all that HTTP does not know.
        service: Name of the application; several may write into one store.
        status: Lowest and highest status code.
        request_id: The request's id.
        variables: Names that were recorded, each with the value it had, as text, or ``None``: any.
        until_unix_ns: Begun before this time, nanoseconds since 1970 UTC.
        path: The URL path; one that ends with ``*`` stands for all that begin so.
        error_type: Qualified name of the exception's class, or the name alone; ``ANY_ERROR`` for any exception.
        version: Version of the application; ``""`` stands for requests without one.
        slower_than_ms: Took longer than this, milliseconds.
        bad_for: Name of a service level objective by which they were bad.
    """

    since_unix_ns: int | None = None
    route: str | None = None
    method: str | None = None
    service: str | None = None
    status: tuple[int, int] | None = None
    request_id: str | None = None
    variables: tuple[tuple[str, str | None], ...] = ()
    until_unix_ns: int | None = None
    path: str | None = None
    error_type: str | None = None
    version: str | None = None
    slower_than_ms: float | None = None
    bad_for: str | None = None


Term = tuple[str, tuple[object, ...]]


def conditions(wanted: Wanted) -> tuple[str, list[object]]:
    """The condition on rows of ``chest_requests``, and the values of its parameters."""
    terms: list[Term] = [("1", ())]
    for name, term in _TERMS.items():
        given = getattr(wanted, name)
        if given is not None:
            terms.append((term, given if isinstance(given, tuple) else (given,)))
    terms += [*_method(wanted.method), *_path(wanted.path), *_error(wanted.error_type)]
    terms += [("record_key >= ?", (key_at(at),)) for at in (wanted.since_unix_ns,) if at is not None]
    terms += [("record_key < ?", (key_at(at),)) for at in (wanted.until_unix_ns,) if at is not None]
    terms += [_variable(name, value) for name, value in wanted.variables]
    # As they were written: what a terminal passes on may have no encoding.
    values = [clean(value) if isinstance(value, str) else value for _, given in terms for value in given]
    return " AND ".join(sql for sql, _ in terms), values


_TERMS = {
    "route": "coalesce(route, '') = ?",
    "service": "service = ?",
    "status": "status BETWEEN ? AND ?",
    "request_id": "request_id = ?",
    "version": "coalesce(version, '') = ?",
    "slower_than_ms": "duration_ms > ?",
    "bad_for": "json_valid(slos) AND EXISTS (SELECT 1 FROM json_each(slos) WHERE key = ? AND NOT value)",
}
"""Attributes of ``Wanted`` that are compared as they are."""


def _method(method: str | None) -> list[Term]:
    if method == OTHER_METHOD:
        return [(f"method NOT IN ({', '.join('?' for _ in KNOWN_METHODS)})", tuple(KNOWN_METHODS))]
    return [] if method is None else [("method = ?", (method,))]


def _path(path: str | None) -> list[Term]:
    if path is None:
        return []
    if path.endswith("*"):
        return [("substr(path, 1, ?) = ?", (len(path) - 1, path[:-1]))]
    return [("path = ?", (path,))]


def _error(kind: str | None) -> list[Term]:
    if kind is None:
        return []
    # These words alone let SQLite use the index of failed requests.
    failed = "error_type IS NOT NULL"
    if kind == ANY_ERROR:
        return [(failed, ())]
    return [(f"{failed} AND (error_type = ? OR substr(error_type, ?) = ?)", (kind, -len(kind) - 1, f".{kind}"))]


def _variable(name: str, value: str | None) -> Term:
    rows = "EXISTS (SELECT 1 FROM chest_variables AS v WHERE v.request_key = record_key AND v.name = ?"
    if value is None:
        return f"{rows})", (name,)
    number = None
    with suppress(ValueError):
        number = float(value)
    # 42, 42.0 and 4.2e1 are the same number; True is written true here.
    same = "v.text_value = ? OR v.number_value = ? OR v.type = 'bool' AND v.text_value = lower(?)"
    return f"{rows} AND ({same}))", (name, value, number, value)
