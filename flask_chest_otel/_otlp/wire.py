"""Attributes as the bytes of OTLP, without its message classes.

Making a message object for each attribute is most of what OpenTelemetry's encoder takes. What stands before a value
depends on the key and the value's size alone: it is remembered for them. Values are not.

The format: https://protobuf.dev/programming-guides/encoding/
The numbers of the fields: https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/common/v1/common.proto
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEEPEST", "INTS_BELOW", "AttributeWriter", "UndecidedError", "any_value", "count", "framed", "varint"]

MOST_KEYS = 256
"""Keys that are remembered; beyond, remembering begins anew."""

MOST_BYTES = 128
"""Larger values have what stands before them made each time."""

DEEPEST = 16
"""How deep lists and mappings may lie in each other. Decoders have bounds, too, and refuse the whole request."""

INTS_BELOW = 2**63
"""Integers of OTLP are less than this, and at least its negative."""

_64_BITS = 2**64
_DOUBLE = struct.Struct("<d").pack
_BOOLS = (b"\x00", b"\x01")

_KEY, _VALUE = b"\x0a", b"\x12"  # of a KeyValue
_TEXT, _BOOL, _INT, _FLOAT, _LIST, _MAPPING, _BYTES = b"\x0a", b"\x10", b"\x18", b"\x21", b"\x2a", b"\x32", b"\x3a"
_ITEM = b"\x0a"  # of an ArrayValue, and of a KeyValueList


class UndecidedError(Exception):
    """OpenTelemetry's encoders treat this value differently, each version in its own way."""


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


_SMALL = tuple(map(_varint, range(1024)))


def varint(number: int) -> bytes:
    """A number that is not negative: seven bits in each byte, the lowest first."""
    return _SMALL[number] if 0 <= number < 1024 else _varint(number)  # noqa: PLR2004 - as many as there are


def framed(tag: bytes, content: bytes) -> bytes:
    """A field whose content has a length: a text, bytes, or a message."""
    return tag + varint(len(content)) + content


def count(tag: bytes, number: int) -> bytes:
    """A field of 32 bits that counts something; nothing where there is nothing to count."""
    if not number:
        return b""
    if number < 2**32:
        return tag + varint(number)
    raise OverflowError("OTLP counts with 32 bits")


class AttributeWriter:
    """Writes attributes as one repeated field of a message.

    Args:
        tag: The field's.
    """

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        self._texts = _Heads(tag, _TEXT, sized=True)
        self._ints = _Heads(tag, _INT)
        self._floats = _Heads(tag, _FLOAT)
        self._bools = _Heads(tag, _BOOL)

    def write(self, attributes: Mapping[str, Any], add: Callable[[bytes], None]) -> None:
        """Give the parts of the field to ``add``, in their order.

        Raises:
            UndecidedError: See there.
            Exception: OTLP has no bytes for a value; what was added up to it is of no use.
        """
        for key, value in attributes.items():
            kind = type(value)
            if kind is str:
                heads, content = self._texts[key], value.encode()
            elif kind is int:
                heads, content = self._ints[key], _int(value)
            elif kind is float:
                heads, content = self._floats[key], _DOUBLE(value)
            elif kind is bool:
                heads, content = self._bools[key], _BOOLS[value]
            else:
                add(framed(self._tag, _key_value(key, any_value(value))))
                continue
            add(heads[len(content)])
            add(content)


class _Heads(dict[str, "_HeadsOfKey"]):
    """By key and size of the value: everything of an attribute that stands before the value."""

    def __init__(self, tag: bytes, kind: bytes, *, sized: bool = False) -> None:
        super().__init__()
        self._tag, self._kind, self._sized = tag, kind, sized

    def __missing__(self, key: str) -> _HeadsOfKey:
        if len(self) >= MOST_KEYS:
            self.clear()
        found = self[key] = _HeadsOfKey(self._tag, framed(_KEY, str.encode(key)), self._kind, sized=self._sized)
        return found


class _HeadsOfKey(dict[int, bytes]):
    def __init__(self, tag: bytes, key: bytes, kind: bytes, *, sized: bool) -> None:
        super().__init__()
        self._tag, self._key, self._kind, self._sized = tag, key, kind, sized

    def __missing__(self, size: int) -> bytes:
        value = self._kind + (varint(size) if self._sized else b"")
        pair = self._key + _VALUE + varint(len(value) + size) + value
        found = self._tag + varint(len(pair) + size) + pair
        if size < MOST_BYTES:
            self[size] = found
        return found


def any_value(value: object, depth: int = 0) -> bytes:  # noqa: PLR0911 - one line for each kind
    """The content of an ``AnyValue``.

    Raises:
        UndecidedError: See there.
        Exception: OTLP has no bytes for it.
    """
    # In the order of OpenTelemetry's encoder; bool first: it is an int to Python.
    if isinstance(value, bool):
        return _BOOL + _BOOLS[value]
    if isinstance(value, str):
        return framed(_TEXT, str.encode(value))
    if isinstance(value, int):
        return _INT + _int(value)
    if isinstance(value, float):
        return _FLOAT + _DOUBLE(value)
    if isinstance(value, bytes):
        return framed(_BYTES, value)
    if value is None or depth == DEEPEST:
        raise UndecidedError
    if isinstance(value, Sequence):
        return framed(_LIST, b"".join([framed(_ITEM, any_value(one, depth + 1)) for one in value]))
    if isinstance(value, Mapping):
        pairs = [framed(_ITEM, _key_value(str(key), any_value(one, depth + 1))) for key, one in value.items()]
        return framed(_MAPPING, b"".join(pairs))
    raise TypeError(f"OTLP has no {type(value).__name__}")


def _key_value(key: str, value: bytes) -> bytes:
    return framed(_KEY, str.encode(key)) + framed(_VALUE, value)


def _int(value: int) -> bytes:
    if -INTS_BELOW <= value < INTS_BELOW:
        return varint(value if value >= 0 else value + _64_BITS)
    raise OverflowError("OTLP has integers of 64 bits")
