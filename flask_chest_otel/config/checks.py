"""The checks of settings: each turns a given value, or a text from the environment, into the value that is kept."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

from flask_chest_otel.config.tracked_vars import NOTHING, TrackedVars, parse_tracked_vars
from flask_chest_otel.errors import ChestConfigError

__all__ = [
    "NotAllowedError",
    "boolean",
    "callable_",
    "check_chest_name",
    "chest_name",
    "chests",
    "entries",
    "field_names",
    "folder",
    "header",
    "headers",
    "hook",
    "hosts",
    "integer_from",
    "log_fields",
    "names_for_routes",
    "one_of",
    "prefix",
    "provider",
    "seconds",
    "text",
    "tracked_vars",
    "url_patterns",
]

# Patterns are texts: `re` compiles those that are used, and most settings are never given.
_HEADER = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}"  # RFC 9110, section 5.6.2: token
_LOG_FIELD = r"[A-Za-z_][A-Za-z0-9_.]{0,254}"
# https://docs.python.org/3/library/logging.html#logrecord-attributes
_TAKEN_BY_LOGGING = frozenset(
    {
        *("args", "asctime", "created", "exc_info", "exc_text", "filename", "funcName", "levelname"),
        *("levelno", "lineno", "message", "module", "msecs", "msg", "name", "pathname", "process"),
        *("processName", "relativeCreated", "stack_info", "taskName", "thread", "threadName"),
    }
)
_FIELD = r"[A-Za-z][A-Za-z0-9_]{0,254}"
# Host names and IP addresses, without scheme and port; "*." in front stands for all hosts below a domain.
_HOST = r"(\*\.)?[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?|[0-9a-f:]*:[0-9a-f:.]*"
_CHEST_NAME = r"[A-Za-z0-9_.-]{1,64}"
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"  # RFC 3986, section 3.1
_PREFIX = r"([A-Za-z][A-Za-z0-9_.\-/]{0,100})?"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


class NotAllowedError(ValueError):
    """A check refuses the value; the message may say why."""


def _matches(value: object, pattern: str) -> TypeGuard[str]:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def boolean(value: object) -> bool:
    """A truth value, or one of the words 1, true, yes, on, 0, false, no, off."""
    if isinstance(value, str) and value.strip().lower() in _TRUE | _FALSE:
        return value.strip().lower() in _TRUE
    if isinstance(value, bool):
        return value
    raise NotAllowedError


def integer_from(minimum: int, maximum: int = sys.maxsize) -> Callable[[object], int]:
    """A whole number from ``minimum`` to ``maximum``."""

    def check(value: object) -> int:
        number = int(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int) or not minimum <= number <= maximum:
            raise NotAllowedError
        return number

    return check


def seconds(value: object) -> float:
    """A number of seconds greater than 0."""
    number = float(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else value
    if not isinstance(number, float) or not 0 < number < math.inf:
        raise NotAllowedError
    return number


def folder(value: Any) -> str:
    """A path."""
    return text(os.fspath(value))


def text(value: object) -> str:
    """A text that is not empty."""
    if isinstance(value, str) and value:
        return value
    raise NotAllowedError


def prefix(value: object) -> str:
    """The beginning of attribute names."""
    if _matches(value, _PREFIX):
        return value
    raise NotAllowedError


def header(value: object) -> str:
    """The name of one HTTP header."""
    if _matches(value, _HEADER):
        return value
    raise NotAllowedError


def entries(value: object) -> list[Any]:
    """The entries of a text with commas between them, or of a list; ``none``: no entries."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()] if value.strip().lower() != "none" else []
    if isinstance(value, Iterable) and not isinstance(value, (Mapping, bytes)):
        return list(value)
    raise NotAllowedError


def headers(value: object) -> tuple[str, ...]:
    """Names of HTTP headers."""
    return tuple(header(entry) for entry in entries(value))


def field_names(value: object) -> tuple[str, ...]:
    """Names of fields without duplicates."""
    found = tuple(entries(value))
    if all(_matches(name, _FIELD) for name in found) and len(set(found)) == len(found):
        return found
    raise NotAllowedError


def log_fields(value: object) -> tuple[str, ...]:
    """Names of attributes for log records, without duplicates and without those that ``logging`` sets itself."""
    found = tuple(entries(value))
    if all(_matches(name, _LOG_FIELD) for name in found) and len(set(found)) == len(found):
        if _TAKEN_BY_LOGGING.isdisjoint(found):
            return found
        taken = next(name for name in found if name in _TAKEN_BY_LOGGING)
        raise NotAllowedError(f"{taken!r} is an attribute of all log records already")
    raise NotAllowedError


def hosts(value: object) -> tuple[str, ...]:
    """Names of hosts, in lower case."""
    given = entries(value)
    found = tuple(host.lower().rstrip(".").strip("[]") for host in given if isinstance(host, str))
    if len(found) == len(given) and all(_matches(host, _HOST) for host in found):
        return found
    raise NotAllowedError


def chests(value: object) -> tuple[object, ...]:
    """Direct chests, and names of the collector's targets."""
    # Look for addresses first: the error for another reason would show the entries, with their passwords.
    for entry in value.values() if isinstance(value, Mapping) else (value := entries(value)):
        _refuse_address(entry)
    found = tuple(_chest(entry) for entry in entries(value))
    names = [chest_name(entry) for entry in found]
    if len(set(names)) != len(names):
        raise NotAllowedError
    return found


def _refuse_address(entry: object) -> None:
    """Refuse the address of a back end. The error does not show the address, as it may contain a password."""
    if isinstance(entry, str) and ("://" in entry or "@" in entry):
        scheme = re.match(_SCHEME, entry)
        raise ChestConfigError(
            "chests",
            f"{scheme.group() if scheme else ''}***",
            "an object made of the address: SQLChest(url), MongoChest(url) or WebhookChest(url) in chests= of the "
            "extension; routes take its name",
        )


def _chest(entry: object) -> object:
    if _matches(entry, _CHEST_NAME):
        return entry
    has_name = _matches(getattr(entry, "name", None), _CHEST_NAME)
    if has_name and all(callable(getattr(entry, method, None)) for method in ("put", "flush", "close")):
        return entry
    raise NotAllowedError


def chest_name(entry: Any) -> str:
    """The name that routes use for a chest: the collector target itself, or a direct chest's ``name``."""
    return entry if isinstance(entry, str) else str(entry.name)


def names_for_routes(chests: Iterable[Any]) -> tuple[str, ...]:
    """All names that routes may use for ``chests``, with both names of targets that have two."""
    either = {"splunk": ("splunk", "signalfx"), "signalfx": ("signalfx", "splunk")}
    names = (either.get(entry, (entry,)) if isinstance(entry, str) else (chest_name(entry),) for entry in chests)
    return tuple(dict.fromkeys(name for group in names for name in group))


def check_chest_name(name: object) -> str:
    """Return ``name`` where a route may write it in ``chests=``.

    Raises:
        ChestConfigError: It is not a text, or has characters that a comma-separated attribute cannot carry.
    """
    _refuse_address(name)
    if _matches(name, _CHEST_NAME):
        return name
    allowed = "names of 1 to 64 characters of A-Z a-z 0-9 _ . -"
    own_name = getattr(name, "name", None)
    if isinstance(own_name, str):
        allowed = f"its name, {own_name!r}, and the chest itself in chests= of the extension"
    raise ChestConfigError("chests", name, allowed)


def url_patterns(value: object) -> tuple[str, ...]:
    """Regular expressions without commas."""
    patterns = tuple(entries(value))
    for pattern in patterns:
        re.compile(pattern)
        # Upstream's instrumentation takes all patterns as one text and splits it at commas.
        if "," in pattern:
            raise NotAllowedError
    return patterns


def one_of(*words: str) -> Callable[[object], str]:
    """One of these words."""

    def check(value: object) -> str:
        if isinstance(value, str) and value.lower() in words:
            return value.lower()
        raise NotAllowedError

    return check


def _imported(value: object) -> Any:
    """Import the object that a text ``module:attribute`` names; return other objects unchanged."""
    if not isinstance(value, str):
        return value
    module, separator, attribute = value.partition(":")
    if not separator:
        raise NotAllowedError
    found: object = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    return found


def callable_(value: object) -> Callable[[], object]:
    """A callable without arguments, or a text ``module:attribute`` that names one."""
    return _called_with(value)


def hook(value: object) -> Callable[[object, object], object]:
    """A callable that takes a span and a WSGI environment, or a text ``module:attribute`` that names one."""
    return _called_with(value, None, {})


def _called_with(value: object, *arguments: object) -> Callable[..., object]:
    found = _imported(value)
    if not callable(found):
        raise NotAllowedError
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # written in C
        return found  # type: ignore[no-any-return]  # its result goes through str() whatever it is
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise NotAllowedError(str(error)) from error
    return found  # type: ignore[no-any-return]  # as above


def provider(method: str) -> Callable[[object], object]:
    """An object with the method ``method``, or a text ``module:attribute`` that names one."""

    def check(value: object) -> object:
        found = _imported(value)
        if callable(getattr(found, method, None)):
            return found
        raise NotAllowedError

    return check


def tracked_vars(value: object) -> TrackedVars:
    """Variables to track, in every form that the decorator takes."""
    return NOTHING if isinstance(value, str) and value.strip().lower() == "none" else parse_tracked_vars(value)
