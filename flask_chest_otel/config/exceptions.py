"""Exceptions as settings name them."""

from __future__ import annotations

import builtins
import re
from typing import Any

from flask_chest_otel._values.exceptions import class_name
from flask_chest_otel.config.checks import NotAllowedError, boolean, entries
from flask_chest_otel.errors import nearest

__all__ = ["handled_exceptions"]

_PART = r"(?:[^\W\d]\w*|<locals>)"
_NAME = rf"{_PART}(?:\.{_PART})*"
_BUILT_IN = "builtins."


def handled_exceptions(value: Any) -> bool | tuple[str, ...]:
    """Whether any, or the names of the classes that are left out."""
    if isinstance(value, (bool, str)):
        try:
            return boolean(value)
        except NotAllowedError:
            pass
    return tuple(_exception_name(entry) for entry in entries(value)) or True


def _exception_name(entry: Any) -> str:
    if isinstance(entry, type) and issubclass(entry, BaseException):
        return class_name(entry)
    if isinstance(entry, str) and re.fullmatch(_NAME, entry):
        return _told(entry.removeprefix(_BUILT_IN))
    raise NotAllowedError


def _told(name: str) -> str:
    """The name as exceptions are told by; one without a module is built in, or could never be met."""
    known = [
        name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
    ]
    if "." in name or name in known:
        return name
    guess = nearest(name, known)
    raise NotAllowedError(f"did you mean {guess!r}?" if guess else f"{name} has no module before it")
