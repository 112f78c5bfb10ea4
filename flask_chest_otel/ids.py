"""Request ids: their legal form, random ids, and the mapping from a request id to a trace id.

The mapping must never change: everybody who knows a request id (and the secret) can compute the trace id, today and in
ten years. A new mapping would need a new ``person`` string; the fixed values in the tests fail on purpose.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from os import urandom
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LEGAL", "MAX_CHARS", "format_trace_id", "is_legal", "legalise", "map_request_id", "random_id"]

MAX_CHARS: Final = 255
"""Longest request id, in characters. A longer id is refused if a client sent it, and cut if it was generated."""

LEGAL: Final = re.compile(r"[A-Za-z0-9._:=/+@-]{1,255}")
"""A legal request id, to be used with ``fullmatch`` only: ``$`` would let a trailing newline pass."""

_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9._:=/+@-]")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_UUID_CHARS: Final = 36
_PERSON: Final = b"chest-traceid-1"  # at most 16 bytes; the digit is the version of the mapping
_ZERO: Final = "0" * 32  # an invalid trace id: https://www.w3.org/TR/trace-context/#trace-id
_MAX_KEY_BYTES: Final = 64  # BLAKE2b takes no longer key: RFC 7693, section 2.1

_legal = LEGAL.fullmatch
_uuid = _UUID.fullmatch


def is_legal(text: str) -> bool:
    """Whether a client's id may be used and sent back: 1 to 255 characters of ``[A-Za-z0-9._:=/+@-]``.

    An empty id is not legal: it identifies nothing.
    """
    return _legal(text) is not None


def legalise(value: object) -> str:
    """The text of ``value`` with every illegal character replaced by ``_``, cut to 255 characters.

    Args:
        value: The return value of a request id generator; ``""`` stays ``""``.

    Raises:
        Exception: ``str(value)`` raised it.
    """
    text = str(value)
    if type(text) is str and _legal(text):
        return text
    return _ILLEGAL.sub("_", str.__getitem__(text, slice(MAX_CHARS)))


def map_request_id(request_id: str, secret: str | None = None) -> int:
    """The trace id that belongs to a request id: 128 bits, never zero.

    A hash, because samplers compare the low 64 bits with rate x 2^64 and need them uniform, which neither
    counters nor timestamps nor UUIDs (whose variant bits are pinned) are. UUIDs are lower-cased with a
    constant version nibble first: Envoy writes its sampling decision into that nibble.

    Args:
        request_id: The request id, of any length.
        secret: Key of the mapping; without one, a client that chooses its request id knows its trace id.
            ``""`` is the same as ``None``.

    Returns:
        The trace id as an integer, from 1 to 2^128 - 1.
    """
    if len(request_id) == _UUID_CHARS and _uuid(request_id):
        request_id = f"{request_id[:14]}0{request_id[15:]}".lower()
    # Copying a prepared hash object saves the key block's compression and the parsing of the parameters.
    hasher = _prepared(secret).copy()
    # surrogatepass encodes every text, and gives different bytes for different ids.
    hasher.update(request_id.encode("utf-8", "surrogatepass"))
    return int.from_bytes(hasher.digest(), "big") or 1


@lru_cache(maxsize=16)  # one secret per application; only test suites have more than a few applications in a process
def _prepared(secret: str | None) -> hashlib.blake2b:
    """The hash object with key and version applied, to be copied for each request id."""
    key = (secret or "").encode("utf-8", "surrogatepass")
    if len(key) > _MAX_KEY_BYTES:
        key = hashlib.blake2b(key, digest_size=_MAX_KEY_BYTES).digest()
    return hashlib.blake2b(digest_size=16, key=key, person=_PERSON)


def random_id() -> str:
    """A fresh request id: 32 lower-case hexadecimal digits, never all zero.

    The bytes come from the operating system, at the cost of one system call. A generator in the process would have to
    check the process id each time, which is a system call as well: uWSGI forks in C code, where CPython does not reseed
    ``random``, so workers would make the same ids. An application that calls ``random.seed(0)`` would repeat ids, too.
    """
    digits = urandom(16).hex()
    return digits if digits != _ZERO else random_id()


format_trace_id: Callable[[int], str] = "{:032x}".format
"""A trace id as it is written in headers, logs and stores: 32 lower-case hexadecimal digits."""
