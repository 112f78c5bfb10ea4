"""Converts any Python object into a legal, bounded OTLP value.

The conversion takes every object, is idempotent, and is fast for common types. It reads types with ``type()`` and
containers through the methods of the built-in types, so that a value's own code runs only where its text or number is
needed. To support a new type, add a line to ``_CONVERTERS``.

OTLP attribute values are strings, booleans, 64-bit integers, doubles and homogeneous arrays of one of these:
https://opentelemetry.io/docs/specs/otel/common/#attribute
"""

from __future__ import annotations

import contextlib
import json
import operator
import re
from collections import deque
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from itertools import islice
from math import isfinite, isnan
from numbers import Rational
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from flask_chest_otel._base.sensitive import is_sensitive
from flask_chest_otel._values.fields import (
    field_names,
    is_machinery,
    is_mapping,
    is_record,
    names_of_tuple,
    shown_fields,
)
from flask_chest_otel._values.lazy import is_proxy, unwrapped
from flask_chest_otel._values.redaction import MASK, Refused, redacted_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Attribute", "Limits", "Refused", "Scalar", "to_attribute", "to_dimension", "to_metric"]

Scalar: TypeAlias = str | bool | int | float
"""A single OTLP value."""

Attribute: TypeAlias = Scalar | tuple[str, ...] | tuple[bool, ...] | tuple[int, ...] | tuple[float, ...]
"""What a span attribute may be."""


_Converter: TypeAlias = "Callable[[Any, Limits], Attribute | None]"
_Result = TypeVar("_Result")


class Limits(NamedTuple):
    """How large a recorded value may be.

    Attributes:
        chars: Longest text, in characters; each element of a list has this limit.
        items: Largest number of elements of a list or mapping.
    """

    chars: int = 1024
    items: int = 64


DEFAULT_LIMITS: Final = Limits()
_PAIR: Final = 2  # a name and its value, as in the items of a mapping
_DEPTH: Final = 4  # levels of containers in a JSON text
_MIN_INT: Final = -(2**63)
_MAX_INT: Final = 2**63 - 1
# CPython's own limit since 3.11: https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
_MAX_DIGITS: Final = 4300
_SAFE: Final = 1e308  # any int or float below it becomes a finite double
_DIMENSION_CHARS: Final = 255  # SignalFx drops a dimension whose value is over 256 characters
# Characters that protobuf's UTF-8 check or a terminal cannot take: C0 except \t \n \r, DEL, C1, lone surrogates.
_BAD_CHARS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_REPLACEMENT: Final = "\ufffd"
_ADDRESS: Final = re.compile(r" at 0x[0-9A-Fa-f]")
_ADDRESS_WITHIN: Final = 4096  # characters
_BLANKS: Final = re.compile("[\t\n\r]+")
_DICT_VIEWS: Final[tuple[type, ...]] = (type({}.keys()), type({}.values()), type({}.items()))


def to_attribute(value: object, limits: Limits = DEFAULT_LIMITS) -> Attribute | None:
    """Convert any object into an OTLP attribute value.

    Args:
        value: The object that a view left on ``g``; ``None`` means "not set".
        limits: How large the result may be.

    Returns:
        A legal value within the limits, or ``None`` for ``None``.

    Raises:
        Refused: The value's own code raised, or returned something that its contract forbids. Other subclasses of
            ``Exception`` are never raised; ``KeyboardInterrupt`` and gevent's ``Timeout`` pass.
    """
    if value is None or value is True or value is False:
        return value
    return _guarded(_convert, value, limits)


def to_metric(value: Any) -> float | None:
    """Convert a value into the number that an instrument records; ``None`` where it is not a number.

    Args:
        value: The object that a view left on ``g``. Booleans and strings are not numbers; a ``timedelta`` becomes its
            seconds.

    Raises:
        Refused: No instrument takes this number: NaN, infinity, or too large for a double.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return None
    if (kind is float or kind is int) and -_SAFE < value < _SAFE:  # false for NaN
        return float(value)
    return _guarded(_number, value, DEFAULT_LIMITS)


def to_dimension(attribute: Attribute) -> Scalar:
    """Convert an attribute value into a metric attribute: one value on one line, at most 255 characters.

    Args:
        attribute: A result of :func:`to_attribute`.

    Returns:
        The value. Texts have no tabs and line breaks, which end a point in InfluxDB's line protocol, and no trailing
        backslash, which would escape the separator after it.
    """
    if isinstance(attribute, tuple):
        text = ",".join([_item_text(item) for item in attribute])
    elif isinstance(attribute, str):
        text = attribute
    else:
        return attribute
    return _BLANKS.sub(" ", text[:_DIMENSION_CHARS]).rstrip("\\")


def _guarded(function: Callable[[object, Limits], _Result], value: object, limits: Limits) -> _Result:
    """Call a converter. An exception of the value's own code becomes `Refused`."""
    try:
        return function(value, limits)
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"{_type_name(value)}: {_type_name(error)}") from error


def _type_name(value: object) -> str:
    """The name of a value's type; ``object`` where a metaclass refuses to give it. Never the value's own text."""
    try:
        return _text(type(value).__name__, 80)
    except Exception:  # noqa: BLE001 - a reason must not fail
        return "object"


def _convert(value: object, limits: Limits) -> Attribute | None:
    """Convert a value with the converter for its type."""
    kind = type(value)
    return (_EXACT.get(kind) or _converter(kind))(value, limits)


def _converter(kind: type) -> _Converter:
    """The converter for a type that is not listed itself: that of a listed base class, else by what the type can do."""
    for kinds, converter in _CONVERTERS:
        if issubclass(kind, kinds):
            return converter
    if is_proxy(kind):
        return _from_proxy
    if is_machinery(kind):
        return _from_mute
    if is_record(kind) or is_mapping(kind):
        return _json
    return _from_number_like if _is_number_like(kind) else _from_object


# Texts


def _text(value: str, chars: int) -> str:
    """Cut a text and replace its illegal characters. It is cut first, so that 10 MB cost no more than ``chars``."""
    return _BAD_CHARS.sub(_REPLACEMENT, str.__getitem__(value, slice(chars)))


def _from_str(value: str, limits: Limits) -> str:
    return _text(value, limits.chars)


def _from_bytes(value: bytes | bytearray | memoryview, limits: Limits) -> str:
    # A character has at most 4 bytes, so this many bytes hold at least `chars` characters.
    head = memoryview(value)[: 4 * limits.chars].tobytes()
    return _text(head.decode("utf-8", "replace"), limits.chars)


def _from_any(value: object, limits: Limits) -> str:
    """The text of an object; this runs the object's own code."""
    return _text(str(value), limits.chars)


def _from_object(value: object, limits: Limits) -> Attribute | None:
    """Convert an object of an unknown type: its public fields, masked, as JSON; its text where it has none."""
    kind = type(value)
    if _is_mute(kind):
        return _from_mute(value, limits)
    return _json(value, limits) if _is_shown_by_fields(value, kind) else _from_text(value, limits)


def _is_mute(kind: Any) -> bool:
    return kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__


def _is_shown_by_fields(value: object, kind: type) -> bool:
    return not _is_mute(kind) and not issubclass(kind, (BaseException, type)) and any(True for _ in shown_fields(value))


def _from_text(value: object, limits: Limits) -> str:
    """The object's own text; the type's name where the text only tells an address (``<generator … at 0x7f…>``)."""
    text = str(value)
    mute = text.startswith("<") and _ADDRESS.search(text, 0, _ADDRESS_WITHIN) is not None
    return _type_name(value)[: limits.chars] if mute else _text(text, limits.chars)


def _from_mute(value: object, limits: Limits) -> str:
    """The name of its class, for an object that has no text of its own or whose code must not run."""
    return _type_name(value)[: limits.chars]


def _from_proxy(value: object, limits: Limits) -> Attribute | None:
    behind = unwrapped(value)
    return _from_mute(value, limits) if is_proxy(type(behind)) else to_attribute(behind, limits)


def _from_date(value: date | time, limits: Limits) -> str:
    return _text(value.isoformat(), limits.chars)


# Numbers


def _from_int(value: int, limits: Limits) -> Scalar:
    number = int.__int__(value)
    if _MIN_INT <= number <= _MAX_INT:
        return number
    bits = number.bit_length()
    # log10(2) = 0.30103. The number of digits is estimated first, as the conversion to text takes quadratic time.
    if bits * 0.30103 < min(limits.chars, _MAX_DIGITS) - 1:
        with contextlib.suppress(ValueError):  # PYTHONINTMAXSTRDIGITS may set a lower limit
            return str(number)
    return _text(f"int of {bits} bits", limits.chars)


def _from_float(value: float, limits: Limits) -> Scalar:
    number = float.__float__(value)
    if isfinite(number):
        return number
    return _text("NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity", limits.chars)


def _from_rational(value: Decimal | Rational, limits: Limits) -> Scalar:
    try:
        number = float(value)
    except OverflowError:
        return _text(f"{type(value).__name__} too large for a double", limits.chars)
    if isinstance(value, Decimal) and value.is_finite() and not isfinite(number):
        return _text(str(value), limits.chars)  # Decimal("1E+400"): float() makes infinity of it
    return _from_float(number, limits)


def _from_timedelta(value: timedelta, limits: Limits) -> float:  # noqa: ARG001 - a converter's shape
    return timedelta.total_seconds(value)


def _is_number_like(kind: type) -> bool:
    """Whether a type of another library is a number, as numpy's scalars are.

    Arrays are not (they have ``__len__``), nor are proxies and mocks (they have ``__getattr__``): these have every
    conversion method, whatever they stand for.
    """
    return (hasattr(kind, "__index__") or hasattr(kind, "__float__")) and not (
        hasattr(kind, "__len__") or hasattr(kind, "__getattr__")
    )


def _plain_number(value: Any) -> bool | int | float | None:
    """The Python number for a number-like value, or ``None`` where its conversion raises."""
    kind = type(value)
    try:
        if kind.__name__ in {"bool", "bool_"}:  # numpy's, which also has __float__
            return bool(value)
        if hasattr(kind, "__index__"):
            return int.__int__(operator.index(value))
        return float(value)
    except Exception:  # noqa: BLE001 - the caller then takes its text
        return None


def _from_number_like(value: object, limits: Limits) -> Attribute | None:
    number = _plain_number(value)
    return _from_text(value, limits) if number is None else to_attribute(number, limits)


def _number(value: Any, limits: Limits) -> float | None:  # noqa: ARG001 - a converter's shape
    """The finite double for a number, ``None`` for other values; raises `Refused` for a number without one."""
    kind = type(value)
    number: Any = None
    if issubclass(kind, timedelta):
        number = timedelta.total_seconds(value)
    elif issubclass(kind, int):
        number = int.__int__(value)
    elif issubclass(kind, float):
        number = float.__float__(value)
    elif issubclass(kind, (Decimal, Rational)):
        number = value
    elif _is_number_like(kind):
        number = _plain_number(value)
    if number is None or number is True or number is False:
        return None
    try:
        result = float(number)
    except OverflowError as error:
        raise Refused("too large for a double") from error
    if not isfinite(result):
        raise Refused("NaN" if isnan(result) else "infinity")
    return result


# Containers


def _from_sequence(value: Iterable[object], limits: Limits) -> Attribute:
    """A homogeneous tuple of at most ``limits.items`` elements, without ``None``."""
    items = [_element(item, limits) for item in _masked_items(value, limits)]
    return _homogeneous([item for item in items if item is not None], limits.chars)


def _masked_items(value: object, limits: Limits) -> Iterator[object]:
    """The first elements; those of a named tuple are masked where the field's name is sensitive."""
    items = islice(_iterate(value), limits.items)
    names = names_of_tuple(type(value))
    return items if names is None else (_masked(name, item) for name, item in zip(names, items, strict=False))


def _masked(name: str, item: object) -> object:
    return MASK if is_sensitive(name) else item


def _from_set(value: Iterable[object], limits: Limits) -> Attribute:
    """Convert a set like a sequence, sorted: the order of a set of texts differs from process to process."""
    items: Any = _from_sequence(value, limits)
    return tuple(sorted(items))


def _iterate(value: Any) -> Iterator[object]:
    """Iterate as the built-in base type does: a subclass's own ``__iter__`` may have effects, or never end."""
    kind = type(value)
    base = kind if kind in _EXACT else next(each for each in _ITERATED if issubclass(kind, each))
    return base.__iter__(value)  # type: ignore[no-any-return]


def _element(item: object, limits: Limits) -> Scalar | None:
    """Convert one element of a list. A container becomes JSON text, as an attribute's array cannot hold containers."""
    kind = type(item)
    if kind in _SCALARS:
        return to_attribute(item, limits)  # type: ignore[return-value]
    if issubclass(kind, _ITERATED):
        return _json(item, limits)
    converted = to_attribute(item, limits)
    return _json(item, limits) if isinstance(converted, tuple) else converted


def _homogeneous(items: list[Any], chars: int) -> Attribute:
    """Make all elements of one type: ints and floats together become floats, any other mixture becomes texts."""
    kinds = set(map(type, items))
    if len(kinds) <= 1:
        return tuple(items)
    if kinds == {int, float}:
        return tuple(map(float, items))
    return tuple([_item_text(item)[:chars] for item in items])


def _item_text(item: Scalar) -> str:
    """A scalar as text; booleans as in JSON: https://opentelemetry.io/docs/specs/otel/common/#anyvalue."""
    if isinstance(item, bool):
        return "true" if item else "false"
    return str(item)


# Nested data


def _json(value: object, limits: Limits) -> str:
    """JSON text of nested data, cut to ``limits.chars`` characters (so a long one no longer parses)."""
    plain = _Plain(limits).data(value, _DEPTH)
    return _text(json.dumps(plain, ensure_ascii=False), limits.chars)


class _Plain:
    """Nested data as plain data for ``json``: bounded, masked, cycles cut off by the depth.

    Attributes:
        limits: ``chars`` bounds the whole text, ``items`` each container in it.
        left: Characters that are still needed; without this budget a cycle of 64 elements would be visited 64^4 times.
    """

    __slots__ = ("left", "limits")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.left = limits.chars

    def data(self, value: object, depth: int) -> object:
        """The value as dicts, lists and scalars."""
        value = unwrapped(value)
        kind = type(value)
        nested = issubclass(kind, _ITERATED)
        if nested or _has_fields(value, kind):
            if depth == 0 or self.left <= 0:
                self.left -= 5
                return "…"
            return self.json_array(value, depth) if nested else self.json_object(value, depth)
        converted = to_attribute(value, self.limits)
        if isinstance(converted, tuple):  # an Enum whose value is a container
            return list(converted)
        self.left -= len(converted) + 2 if isinstance(converted, str) else 4
        return converted

    def json_array(self, value: object, depth: int) -> list[object]:
        """A sequence or set as a list."""
        self.left -= 2
        if type(value) is tuple and len(value) == _PAIR and type(value[0]) is str:
            value = (value[0], _masked(value[0], value[1]))
        result = []
        for item in _masked_items(value, self.limits):
            if self.left <= 0:
                break
            result.append(self.data(item, depth - 1))
        return result

    def json_object(self, value: object, depth: int) -> dict[str, object]:
        """A mapping or an object with fields as a dict with texts as keys and sensitive values masked."""
        self.left -= 2
        result: dict[str, object] = {}
        for key, item in islice(_pairs(value), self.limits.items):
            if self.left <= 0:
                break
            name = self.key(key)
            self.left -= len(name) + 4
            result[name] = MASK if is_sensitive(name) else self.data(redacted_entry(name, item), depth - 1)
        return result

    def key(self, key: object) -> str:
        """A mapping's key as text."""
        if type(key) is str:
            return _text(key, self.limits.chars)
        converted = to_attribute(key, self.limits)
        if isinstance(converted, tuple):
            return ",".join(map(_item_text, converted))
        return "null" if converted is None else _item_text(converted)


def _has_fields(value: object, kind: type) -> bool:
    """Whether a value that is not a list becomes a JSON object."""
    if kind in _EXACT:
        return kind is dict
    converter = _converter(kind)
    if converter is _from_object:
        return _is_shown_by_fields(value, kind)
    return converter is _json


def _pairs(value: Any) -> Iterator[tuple[object, object]]:
    """Keys and values of a mapping or an object; for a ``dict`` and its subclasses without running their code."""
    kind = type(value)
    if kind.__name__ == "CombinedMultiDict":  # Werkzeug's `request.values`: it holds other dicts
        return iter(value.lists())
    if issubclass(kind, dict):
        return iter(dict.items(value))
    if is_record(kind):
        return ((name, getattr(value, name)) for name in field_names(kind))
    if hasattr(kind, "_asdict"):
        return iter(dict.items(value._asdict()))
    return iter(value.items() if is_mapping(kind) else shown_fields(value))


def _from_enum(value: Enum, limits: Limits) -> Attribute | None:
    return to_attribute(value.value, limits)


_SCALARS: Final = frozenset({str, bool, int, float, type(None)})
_ITERATED: Final[tuple[type[Any], ...]] = (list, tuple, set, frozenset, deque, range, *_DICT_VIEWS)

# The first line that fits counts: subclasses stand before their bases (IntEnum is an int, datetime a date).
_CONVERTERS: Final[tuple[tuple[tuple[type, ...], _Converter], ...]] = (
    ((Enum,), _from_enum),
    ((str,), _from_str),
    ((int,), _from_int),
    ((float,), _from_float),
    ((set, frozenset), _from_set),
    (_ITERATED, _from_sequence),
    ((dict,), _json),
    ((bytes, bytearray, memoryview), _from_bytes),
    ((date, time), _from_date),
    ((timedelta,), _from_timedelta),
    ((Decimal, Rational), _from_rational),
    ((UUID, PurePath), _from_any),
)
# As above, the first line that names a type counts.
_EXACT: Final[dict[type, _Converter]] = {
    kind: converter for kinds, converter in reversed(_CONVERTERS) for kind in kinds
}
