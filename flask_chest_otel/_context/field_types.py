"""Converts fields of the typed context to text for outgoing calls, and received text to the type of the field.

Received text comes from a client, so each pattern below takes linear time, and the length of numbers is bounded.
"""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from flask_chest_otel._context import baggage
from flask_chest_otel._values.convert import Limits, Refused, to_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["as_text", "as_type"]

# A text longer than the header is kept one character too long, so that it is refused and not sent cut off.
_WHOLE: Final = Limits(chars=baggage.MOST_BYTES + 1)
_MOST_DIGITS: Final = 300  # a double has fewer
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
# Each digit can match in one way only, so that a text that does not match takes linear time. The exponent is short:
# Decimal("1e999999999") is a short text, but the number would fill the memory.
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
# A UUID of any version in the form of str(): UUID() itself would also take braces and URNs.
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def as_text(value: object) -> str | None:
    """Convert a value to the text that is sent; ``None`` for ``None``.

    Raises:
        Refused: The value has no text form, is a list, or its text is too long.
    """
    converted = to_attribute(value, _WHOLE)
    if isinstance(converted, tuple):
        raise Refused("a list")
    if isinstance(converted, bool):
        return str(converted).lower()
    return None if converted is None else str(converted)


def as_type(text: str, hint: object) -> object:
    """Convert a received text to the type of a field.

    Args:
        text: Any text.
        hint: The field's type. ``None`` (no annotation), ``Any``, ``object`` and ``str`` take every text. Of a union,
            the first type that takes the text counts; types that take every text come last.

    Raises:
        Refused: The text is not a value of this type, or no text can become a value of this type.
    """
    hint = _plain(hint)
    if hint in (None, Any, object, str):
        return text
    if get_origin(hint) in (Union, UnionType):
        return _first(text, get_args(hint))
    if get_origin(hint) is Literal:
        return _among(text, get_args(hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _among(text, hint)
    convert = _CONVERTERS.get(hint)
    if convert is None:
        raise Refused("of a type that no text becomes")
    return convert(text)


def _plain(hint: object) -> object:
    """The type behind ``NewType`` and ``type X = …``."""
    for _ in range(8):
        behind = getattr(hint, "__supertype__", None) or getattr(hint, "__value__", None)
        if behind is None or isinstance(hint, type):
            break
        hint = behind
    return hint


def _first(text: str, options: tuple[object, ...]) -> object:
    wanted = [option for option in options if option is not NoneType]
    wanted.sort(key=lambda option: _plain(option) in (str, Any, object))  # these take every text
    reason = "of a type that no text becomes"
    for option in wanted:
        try:
            return as_type(text, option)
        except Refused as refused:
            reason = refused.reason
    raise Refused(reason)


def _among(text: str, options: Iterable[object]) -> object:
    for option in options:
        if as_text(option) == text:
            return option
    raise Refused("none of the values that its type lists")


def _whole_number(text: str) -> int:
    if len(text) > _MOST_DIGITS or _INTEGER.fullmatch(text) is None:
        raise Refused("no whole number")
    return int(text)


def _checked_number(text: str) -> str:
    if len(text) > _MOST_DIGITS or _NUMBER.fullmatch(text) is None:
        raise Refused("no number")
    return text


def _number(text: str) -> float:
    number = float(_checked_number(text))
    if not math.isfinite(number):
        raise Refused("too large a number")
    return number


def _decimal(text: str) -> Decimal:
    return Decimal(_checked_number(text))


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise Refused("neither true nor false")
    return text.lower() in ("true", "1")


def _uuid(text: str) -> UUID:
    if _UUID.fullmatch(text) is None:
        raise Refused("no UUID")
    return UUID(text)


def _from_iso(kind: type[date | time]) -> Callable[[str], object]:
    """Make the converter for a date or time type. Python 3.10 reads only the form that ``isoformat`` writes."""

    def convert(text: str) -> object:
        try:
            return kind.fromisoformat(text)
        except ValueError as error:
            raise Refused(f"no {kind.__name__}") from error

    return convert


_CONVERTERS: Final[dict[object, Callable[[str], object]]] = {
    int: _whole_number,
    float: _number,
    bool: _truth,
    Decimal: _decimal,
    UUID: _uuid,
    date: _from_iso(date),
    datetime: _from_iso(datetime),
    time: _from_iso(time),
}
