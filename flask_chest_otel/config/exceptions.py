"""The check of the setting ``handled_exceptions``."""

from __future__ import annotations

import builtins
import re

from flask_chest_otel._values.exceptions import class_name
from flask_chest_otel.config.checks import NotAllowedError, boolean, entries
from flask_chest_otel.errors import nearest

__all__ = ["handled_exceptions"]

_PART = r"(?:[^\W\d]\w*|<locals>)"
_NAME = rf"{_PART}(?:\.{_PART})*"
_BUILT_IN = "builtins."


def handled_exceptions(value: object) -> bool | tuple[str, ...]:
    """``True``: all exceptions; ``False``: none; else the full names of the classes that are left out."""
    if isinstance(value, (bool, str)):
        try:
            return boolean(value)
        except NotAllowedError:
            pass
    return tuple(_exception_name(entry) for entry in entries(value)) or True


def _exception_name(entry: object) -> str:
    if isinstance(entry, type) and issubclass(entry, BaseException):
        return class_name(entry)
    if isinstance(entry, str) and re.fullmatch(_NAME, entry):
        return _told(entry.removeprefix(_BUILT_IN))
    raise NotAllowedError


def _told(name: str) -> str:
    """Return the full name of an exception class.

    Raises:
        NotAllowedError: The name has no module and is not a built-in exception, so it would never match.
    """
    known = [
        name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
    ]
    if "." in name or name in known:
        return name
    guess = nearest(name, known)
    raise NotAllowedError(f"did you mean {guess!r}?" if guess else f"{name} has no module before it")
