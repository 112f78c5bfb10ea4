"""Exceptions as settings name them."""

from __future__ import annotations

import re
from typing import Any

from flask_chest_otel._values.exceptions import class_name
from flask_chest_otel.config.checks import NotAllowedError, boolean, entries

__all__ = ["handled_exceptions"]

_NAME = r"[^\s:/]{1,255}"


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
        return entry
    raise NotAllowedError
