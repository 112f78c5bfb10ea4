"""``tracked_vars``: reads each of its forms into one structure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from flask_chest_otel.errors import ChestConfigError, nearest
from flask_chest_otel.names import KNOWN_METHODS
from flask_chest_otel.tracked import TrackedVar

__all__ = ["EVERYTHING", "NOTHING", "TrackedVars", "parse_tracked_vars"]

EVERYTHING = "*"
"""Tracks every public name in ``g``."""

_LEFT_OUT = "-"
"""Prefix of a name that ``"*"`` leaves out: ``"*,-ledger"``."""

_SLIP = 0.75  # so alike that it is a typing error: GETT means GET, but PROPPATCH, MOVE and PURGE are accepted


class TrackedVars(NamedTuple):
    """A parsed ``tracked_vars``.

    Attributes:
        all_methods: Variables tracked for every method; used where ``by_method`` is ``None``.
        by_method: Variables by HTTP method; a method that is not listed tracks nothing.
    """

    all_methods: tuple[TrackedVar, ...] = ()
    by_method: Mapping[str, tuple[TrackedVar, ...]] | None = None
    everything_for: frozenset[str] | None = frozenset()
    """Methods for which every public name is tracked; ``None``: all methods."""
    left_out: Mapping[str | None, frozenset[str]] = MappingProxyType({})
    """Method to the names that ``"*"`` leaves out there; the key ``None`` holds those of all methods."""

    def for_method(self, method: str) -> tuple[TrackedVar, ...]:
        """The variables that a request with this method tracks by name."""
        if self.by_method is None:
            return self.all_methods
        return self.by_method.get(method, ())

    def tracks_everything(self, method: str) -> bool:
        """Whether a request with this method tracks every public name in ``g``."""
        return self.everything_for is None or method in self.everything_for

    def leaves_out(self, method: str) -> frozenset[str]:
        """The public names that ``"*"`` leaves out in a request with this method."""
        return self.left_out.get(None if self.by_method is None else method, frozenset())

    def every_var(self) -> tuple[TrackedVar, ...]:
        """All variables of all methods."""
        listed = (var for group in (self.by_method or {}).values() for var in group)
        return (*self.all_methods, *listed)

    def __bool__(self) -> bool:
        """Whether anything is tracked at all."""
        return bool(self.every_var()) or self.everything_for is None or bool(self.everything_for)


NOTHING = TrackedVars()
"""No variables at all."""


def parse_tracked_vars(value: object) -> TrackedVars:
    """Read ``tracked_vars`` in each of its forms.

    Args:
        value: A name, a ``TrackedVar``, a list of both, a dict of lists by HTTP method, ``"*"``; or a text from the
            environment: names with commas between them, or JSON.

    Raises:
        ChestConfigError: The value has another form, or two different variables have the same name.
    """
    setting = "tracked_vars"
    if isinstance(value, TrackedVars):
        return value
    if isinstance(value, str):
        value = _from_text(value, setting)
    if value is None:
        raise ChestConfigError(setting, value, "a list of names; '*' tracks every public name in g, () none")
    if isinstance(value, Mapping):
        return _by_method(value, setting)
    names, everything, left_out = _group(value, setting)
    return TrackedVars(
        names, everything_for=None if everything else frozenset(), left_out={None: left_out} if left_out else {}
    )


def _by_method(value: Mapping[str, object], setting: str) -> TrackedVars:
    groups: dict[str, tuple[TrackedVar, ...]] = {}
    everything: set[str] = set()
    left_out: dict[str | None, frozenset[str]] = {}
    for method, group in value.items():
        _check_method(method, setting)
        names, everything_here, left_out_here = _group(group, f"{setting}[{method!r}]")
        groups[method.upper()] = names
        if left_out_here:
            left_out[method.upper()] = left_out_here
        if everything_here:
            everything.add(method.upper())
    return TrackedVars(by_method=groups, everything_for=frozenset(everything), left_out=left_out)


def _check_method(method: object, setting: str) -> None:
    """Accept known methods in upper or lower case, and others, such as WebDAV's, in capitals.

    Raises:
        ChestConfigError: It is not a method, or it looks like a mistyped known one.
    """
    if not isinstance(method, str) or not method.isascii() or not method.replace("-", "").isalpha():
        raise ChestConfigError(setting, method, "HTTP methods as keys, for example {'GET': ['user_id']}")
    if method.upper() in KNOWN_METHODS:
        return
    same_letters = (known for known in sorted(KNOWN_METHODS) if sorted(known) == sorted(method.upper()))
    meant = next(same_letters, None) or nearest(method.upper(), KNOWN_METHODS, _SLIP)
    if meant is not None:
        raise ChestConfigError(setting, method, f"HTTP methods as keys (did you mean {meant!r}?)")
    if method != method.upper():
        raise ChestConfigError(
            setting,
            method,
            "HTTP methods as keys, those of your own in capitals; one TrackedVar as JSON goes into a list",
        )


def _group(value: object, setting: str) -> tuple[tuple[TrackedVar, ...], bool, frozenset[str]]:
    if isinstance(value, (str, TrackedVar)):
        value = [value]
    if not isinstance(value, Iterable):
        raise ChestConfigError(setting, value, "names or TrackedVar objects in a list, or a dict of such lists")
    found: dict[str, TrackedVar] = {}
    entries = [part for entry in value for part in _parts(entry)]
    left_out = frozenset(entry[1:].strip() for entry in entries if isinstance(entry, str) and entry[:1] == _LEFT_OUT)
    everything = EVERYTHING in entries
    if not everything and left_out:
        raise ChestConfigError(setting, f"-{min(left_out)}", "names to leave out beside '*' only: '*,-ledger'")
    for entry in entries:
        if isinstance(entry, str) and (entry == EVERYTHING or entry[:1] == _LEFT_OUT):
            continue
        var = _one(entry, setting)
        if found.setdefault(var.name, var) != var:
            raise ChestConfigError(setting, var.name, "each variable once")
    if left_out & found.keys() or not all(map(str.isidentifier, left_out)):
        raise ChestConfigError(setting, ",".join(sorted(left_out)), "names of flask.g, each either tracked or left out")
    return tuple(found.values()), everything, left_out


def _parts(entry: object) -> list[object]:
    """Split one entry such as ``"*,-ledger"``, as in ``@flask_chest("*,-ledger")``, at its commas."""
    if isinstance(entry, str) and entry[:1] in (EVERYTHING, _LEFT_OUT):
        return [part.strip() for part in entry.split(",") if part.strip()]
    return [entry]


def _one(entry: object, setting: str) -> TrackedVar:
    if isinstance(entry, TrackedVar):
        return entry
    if isinstance(entry, str):
        return TrackedVar(entry)
    if isinstance(entry, Mapping):
        return _from_json(entry, setting)
    raise ChestConfigError(setting, entry, "the name of a variable of flask.g, or a TrackedVar")


def _from_json(entry: Mapping[Any, object], setting: str) -> TrackedVar:
    fields = TrackedVar.__dataclass_fields__
    for key in entry:
        if key not in fields:
            guess = nearest(str(key), fields)
            raise ChestConfigError(setting, key, f"fields of TrackedVar: {guess or ', '.join(fields)}")
    if "name" not in entry:
        raise ChestConfigError(setting, dict(entry), "a name in each TrackedVar, for example {'name': 'plan'}")
    values = dict(entry)
    if isinstance(values.get("buckets"), list):
        values["buckets"] = tuple(values["buckets"])
    return TrackedVar(**values)


def _from_text(text: str, setting: str) -> object:
    stripped = text.strip()
    if not stripped.startswith(("{", "[")):
        return [part.strip() for part in stripped.split(",") if part.strip()]
    try:
        return json.loads(stripped)
    except ValueError as error:
        raise ChestConfigError(setting, text, f"names with commas between them, or valid JSON ({error})") from error
