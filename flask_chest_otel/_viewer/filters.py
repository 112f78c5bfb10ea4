"""Reads the filter of a page from its address: words such as ``plan=gold``, ``status>=500``, ``ms>300``."""

from __future__ import annotations

import re
import shlex
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flask_chest_otel._analysis.times import TimeTextError, read_moments
from flask_chest_otel._store.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask_chest_otel._store.answers import StoredRequest

__all__ = ["Filter", "read_filter"]

_TERM = re.compile(r"([\w.\-]+)\s*(>=|<=|=|>|<)\s*(.*)", re.DOTALL)
_STATUS = re.compile(r"[1-5](\d\d|xx)", re.IGNORECASE)
_LOWEST, _HIGHEST = 100, 599

_LACKING = {"errors": ("--slower", "--request-id"), "explain": ("--request-id",), "stats": ("--request-id",)}
"""Command to the options of `flask chest requests` that it does not have."""

_CHOOSING = {"--status", "--slower", "--error"}
"""The options with which `flask chest explain` chooses requests."""


class _WordError(ValueError):
    """A word of the filter has no meaning; the message says what to type."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which requests a page shows.

    Attributes:
        words: The words that could be used, as they were typed.
        since: The begin, as it was typed; ``""``: none.
        until: The end, as it was typed; ``""``: none.
        wanted: The filter as a query of the store, without free text.
        text: Words of free text, in lower case. They are searched in ids, paths, routes, and types and messages of
            exceptions.
        options: The filter as options of ``flask chest requests``, without free text.
        troubles: A sentence for each word that could not be used.
        args: The parameters of the address.
    """

    words: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    wanted: Wanted = field(default_factory=Wanted)
    text: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    troubles: tuple[str, ...] = ()
    args: Mapping[str, str] = field(default_factory=dict)

    def command(self, name: str = "requests", *more: str) -> str:
        """Return the command that answers the same question in a terminal, without free text.

        Args:
            name: The command.
            more: Further words of it.
        """
        # In an address a time of day is one of UTC; a terminal has a time zone of its own.
        utc = ["--utc"] if self.since or self.until else []
        pairs = zip(self.options[::2], self.options[1::2], strict=True)
        kept = [word for pair in pairs if pair[0] not in _LACKING.get(name, ()) for word in pair]
        return shlex.join(["flask", "chest", name, *utc, *kept, *more])

    @property
    def explainable(self) -> bool:
        """Whether ``flask chest explain`` can choose the same requests; its other options say among which ones."""
        names = set(self.options[::2])
        return bool(names & _CHOOSING) and names <= {*_CHOOSING, "--since", "--until"} and not self.text

    def has(self, request: StoredRequest) -> bool:
        """Whether a request has all words of the free text."""
        if not self.text:
            return True
        error = request.error
        places = (request.request_id, request.trace_id, request.path, request.route, error and error.type)
        everything = "\n".join(str(one) for one in (*places, error and error.message) if one).lower()
        return all(word in everything for word in self.text)

    def without(self, word: str) -> str:
        """Return the text of this filter without one of its words."""
        words = list(self.words)
        words.remove(word)
        return _joined(words)

    def joined(self, *more: str) -> str:
        """Return the text of this filter with further words."""
        return _joined([*self.words, *(word for word in more if word not in self.words)])


def _joined(words: list[str]) -> str:
    return " ".join(shlex.quote(word) if re.search(r"[\s'\"\\]", word) else word for word in words)


def read_filter(args: Mapping[str, str]) -> Filter:
    """Read the filter from the parameters ``q``, ``since`` and ``until`` of an address."""
    found = Filter(args={name: args[name] for name in ("q", "since", "until") if args.get(name)})
    try:
        words = shlex.split(args.get("q", ""))
    except ValueError:  # a quotation mark without its end
        words = args.get("q", "").split()
    for step in (*(_word(word) for word in words), *(_time(name, args.get(name, "")) for name in ("since", "until"))):
        try:
            found = step(found)
        except _WordError as error:
            found = replace(found, troubles=(*found.troubles, str(error)))
    return found


def _time(name: str, text: str) -> Callable[[Filter], Filter]:
    def step(found: Filter) -> Filter:
        if not text.strip():
            return found
        try:
            at = read_moments(text, time.time_ns(), utc=True)
        except TimeTextError as error:
            raise _WordError(str(error)) from error
        found = replace(found, options=(*found.options, f"--{name}", text))
        if name == "since":
            return replace(found, since=text, wanted=replace(found.wanted, since_unix_ns=at.begin_unix_ns))
        return replace(found, until=text, wanted=replace(found.wanted, until_unix_ns=at.end_unix_ns))

    return step


def _word(word: str) -> Callable[[Filter], Filter]:
    term = _TERM.fullmatch(word)
    if term is None:
        return lambda found: replace(found, words=(*found.words, word), text=(*found.text, word.lower()))
    name, sign, value = term.groups()

    def step(found: Filter) -> Filter:
        changes, options = _KNOWN.get(name, _variable)(found.wanted, name, sign, value)
        wanted = replace(found.wanted, **changes)
        return replace(found, words=(*found.words, word), wanted=wanted, options=(*found.options, *options))

    return step


_Meaning = tuple[dict[str, Any], tuple[str, ...]]


def _status(wanted: Wanted, _name: str, sign: str, value: str) -> _Meaning:
    if not _STATUS.fullmatch(value):
        raise _WordError(f"status{sign}{value}: type a code such as 404, or a class such as 5xx")
    low, high = (int(value.lower().replace("x", digit)) for digit in "09")
    first, last = wanted.status or (_LOWEST, _HIGHEST)
    bounds = {"=": (low, high), ">=": (low, last), ">": (high + 1, last), "<=": (first, high), "<": (first, low - 1)}
    chosen = bounds[sign]
    return {"status": chosen}, _status_options(*chosen)


def _status_options(low: int, high: int) -> tuple[str, ...]:
    # `--status` takes one code or one class, so other ranges have no option.
    if low == high:
        return "--status", str(low)
    if high // 100 == low // 100 and low % 100 == 0 and high % 100 == 99:  # noqa: PLR2004 - 5xx
        return "--status", f"{low // 100}xx"
    return ("--status", "5xx") if low == 500 else ()  # noqa: PLR2004 - there is no higher class


def _slower(_wanted: Wanted, _name: str, sign: str, value: str) -> _Meaning:
    try:
        bound = float(value)
    except ValueError:
        bound = float("nan")
    if sign not in (">", ">=") or not bound >= 0:
        raise _WordError(f"ms{sign}{value}: type ms>300 for requests that took longer than 300 milliseconds")
    return {"slower_than_ms": bound}, ("--slower", value)


def _bad(_wanted: Wanted, name: str, sign: str, value: str) -> _Meaning:
    if sign != "=":
        raise _WordError(f"{name}{sign}{value}: type bad=NAME, with the name of an objective")
    return {"bad_for": value}, ()


def _text(attribute: str, option: str) -> Callable[[Wanted, str, str, str], _Meaning]:
    def meaning(_wanted: Wanted, name: str, sign: str, value: str) -> _Meaning:
        if sign != "=":
            raise _WordError(f"{name}{sign}{value}: type {name}={value}")
        shown = "" if value == "-" else value
        return {attribute: shown.upper() if attribute == "method" else shown}, (option, value)

    return meaning


_KNOWN: dict[str, Callable[[Wanted, str, str, str], _Meaning]] = {
    "status": _status,
    "ms": _slower,
    "route": _text("route", "--route"),
    "method": _text("method", "--method"),
    "service": _text("service", "--service"),
    "path": _text("path", "--path"),
    "error": _text("error_type", "--error"),
    "version": _text("version", "--version"),
    "bad": _bad,
    "id": _text("request_id", "--request-id"),
}
"""Words with a meaning of their own; every other name is a variable's."""


def _variable(wanted: Wanted, name: str, sign: str, value: str) -> _Meaning:
    if sign != "=":
        raise _WordError(f"{name}{sign}{value}: of variables there is {name}=VALUE, and {name}=* for any value")
    pair = (name, None if value == "*" else value)
    return {"variables": (*wanted.variables, pair)}, ("--var", name if value == "*" else f"{name}={value}")
