"""A field of the typed context as a text that travels, and such a text as a value of the type that the field has.

The text comes from a client: each expression below takes time that grows no faster than its text, and a number has
few digits.
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

_WHOLE: Final = Limits(chars=baggage.MOST_BYTES + 1)  # what is longer does not fit, and must not be sent cut off
_MOST_DIGITS: Final = 300  # a double has no more
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
# No digit can be matched in two ways, or a text that does not match would take quadratic time. The exponent is short,
# as Decimal("1e999999999") is a small text and a number that fills the memory.
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
# Version 4 or any other, as str() writes it: UUID() itself takes braces and URNs, too.
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def as_text(value: object) -> str | None:
    """What is sent for a value; ``None`` for ``None``.

    Raises:
        Refused: It has no text, or is a list.
    """
    converted = to_attribute(value, _WHOLE)
    if isinstance(converted, tuple):
        raise Refused("a list")
    if isinstance(converted, bool):
        return str(converted).lower()
    return None if converted is None else str(converted)


def as_type(text: str, hint: object) -> object:
    """The value that an annotation allows for a text that arrived.

    Args:
        text: Anything.
        hint: The field's type. ``None`` (no annotation), ``Any`` and ``object`` take every text, as ``str`` does; of a
            union the first type that takes it counts, these last.

    Raises:
        Refused: The text is no value of this type, or there is no text for values of this type.
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
    wanted.sort(key=lambda option: _plain(option) in (str, Any, object))  # they take everything
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
    """Python 3.10 reads what ``isoformat`` writes, and nothing else."""

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
