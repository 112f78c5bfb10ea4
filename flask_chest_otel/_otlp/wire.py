"""Encodes attributes as bytes of OTLP, without protobuf's message classes.

OpenTelemetry's encoder spends most of its time on making a message object for each attribute. The bytes before a value
depend only on the key and on the size of the value: they are cached. Values are not cached.

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
"""How many keys are cached; when there are more, the cache is cleared."""

MOST_BYTES = 128
"""Size up to which the bytes before a value are cached; for larger values they are made each time."""

DEEPEST = 16
"""How deep lists and mappings may be nested. Decoders have bounds, too, and refuse the whole request beyond them."""

INTS_BELOW = 2**63
"""OTLP's integers have 64 bits with a sign: less than this, and at least its negative."""

_64_BITS = 2**64
_DOUBLE = struct.Struct("<d").pack
_BOOLS = (b"\x00", b"\x01")

_KEY, _VALUE = b"\x0a", b"\x12"  # of a KeyValue
_TEXT, _BOOL, _INT, _FLOAT, _LIST, _MAPPING, _BYTES = b"\x0a", b"\x10", b"\x18", b"\x21", b"\x2a", b"\x32", b"\x3a"
_ITEM = b"\x0a"  # of an ArrayValue, and of a KeyValueList


class UndecidedError(Exception):
    """Versions of OpenTelemetry's encoder treat this value differently, so the installed one has to encode it."""


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


_SMALL = tuple(map(_varint, range(1024)))


def varint(number: int) -> bytes:
    """Encode a number that is not negative: seven bits in each byte, the lowest first."""
    return _SMALL[number] if 0 <= number < 1024 else _varint(number)  # noqa: PLR2004 - as many as there are


def framed(tag: bytes, content: bytes) -> bytes:
    """Encode a field whose content has a length: a text, bytes, or a message."""
    return tag + varint(len(content)) + content


def count(tag: bytes, number: int) -> bytes:
    """Encode a field with an unsigned number of 32 bits; no bytes for 0, the default of protobuf.

    Raises:
        OverflowError: The number has more than 32 bits.
    """
    if not number:
        return b""
    if number < 2**32:
        return tag + varint(number)
    raise OverflowError("OTLP counts with 32 bits")


class AttributeWriter:
    """Encodes attributes as one repeated field of a message.

    Args:
        tag: The field's tag.
    """

    def __init__(self, tag: bytes) -> None:
        self._tag = tag
        self._texts = _Heads(tag, _TEXT, sized=True)
        self._ints = _Heads(tag, _INT)
        self._floats = _Heads(tag, _FLOAT)
        self._bools = _Heads(tag, _BOOL)

    def write(self, attributes: Mapping[str, Any], add: Callable[[bytes], None]) -> None:
        """Pass the bytes of the field to ``add``, piece by piece.

        Raises:
            UndecidedError: Versions of OpenTelemetry's encoder treat a value differently.
            Exception: OTLP cannot represent a value; the pieces that were added before are of no use.
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
    """Cache from key and size of the value to the bytes before the value."""

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
    """Return the content of an ``AnyValue``.

    Raises:
        UndecidedError: Versions of OpenTelemetry's encoder treat the value differently.
        Exception: OTLP cannot represent the value.
    """
    # The order of OpenTelemetry's encoder. bool comes first, as it is a subclass of int.
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
