"""Selects requests of a store; makes an SQL condition from it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from flask_chest_otel._records.schema import clean, key_at
from flask_chest_otel._values.methods import FIGURED_METHODS
from flask_chest_otel.names import OTHER_METHOD

__all__ = ["ANY_ERROR", "Wanted", "conditions"]

ANY_ERROR = "*"
"""Value of ``Wanted.error_type`` for requests with any exception."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Selects the requests that meet all given conditions; ``None``: no condition.

    Attributes:
        since_unix_ns: The request began at this time or later, nanoseconds since 1970 UTC.
        route: The URL rule; ``""``: the request matched none.
        method: HTTP method in capitals; ``_OTHER``: a method that HTTP does not define.
        service: Name of the application; several applications may write into one store.
        status: Lowest and highest status code.
        request_id: The request id.
        variables: Names of recorded variables, each with its value as text; ``None`` for any value.
        until_unix_ns: The request began before this time, nanoseconds since 1970 UTC.
        path: The URL path; with ``*`` at its end, all paths that begin so.
        error_type: Name of the exception's class, with or without its module; ``ANY_ERROR``: any exception.
        version: Version of the application; ``""``: the request has none.
        slower_than_ms: The request took longer than this, milliseconds.
        bad_for: Name of a service level objective for which the request was bad.
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
    """Return an SQL condition on rows of ``chest_requests``, and the values of its parameters."""
    terms: list[Term] = [("1", ())]
    for name, term in _TERMS.items():
        given = getattr(wanted, name)
        if given is not None:
            terms.append((term, given if isinstance(given, tuple) else (given,)))
    terms += [*_method(wanted.method), *_path(wanted.path), *_error(wanted.error_type)]
    terms += [("record_key >= ?", (key_at(at),)) for at in (wanted.since_unix_ns,) if at is not None]
    terms += [("record_key < ?", (key_at(at),)) for at in (wanted.until_unix_ns,) if at is not None]
    terms += [_variable(name, value) for name, value in wanted.variables]
    # Clean texts as the store does when it writes: a terminal may pass on texts that UTF-8 cannot encode.
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
"""Attribute of ``Wanted`` to its SQL condition, for values that are compared unchanged."""


def _method(method: str | None) -> list[Term]:
    if method == OTHER_METHOD:
        return [(f"method NOT IN ({', '.join('?' for _ in FIGURED_METHODS)})", tuple(FIGURED_METHODS))]
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
    # SQLite uses the index of failed requests only if the condition has exactly these words.
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
    # 42, 42.0 and 4.2e1 are the same number. The store has a bool as `true` or `false`.
    same = "v.text_value = ? OR v.number_value = ? OR v.type = 'bool' AND v.text_value = lower(?)"
    return f"{rows} AND ({same}))", (name, value, number, value)
