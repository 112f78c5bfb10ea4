"""Which names are sensitive: the list of words, and how a name is compared with it."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final

__all__ = ["CACHED_CHARS", "SENSITIVE_WORDS", "is_sensitive"]

SENSITIVE_WORDS: Final = frozenset(
    word + plural
    for word in (
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "secret",
        "token",
        "jwt",
        "csrf",
        "auth",
        "authorization",
        "bearer",
        "otp",
        "pin",
        "cookie",
        "card",
        "cvv",
        "cvc",
        "iban",
        "ssn",
        "apikey",
        "credential",
    )
    for plural in ("", "s")
)
_PAIRS: Final = frozenset((first, second) for first in ("api", "private", "access") for second in ("key", "keys"))

# Word boundaries in camel case: card|Number, API|Key.
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# Digits separate words, too: oauth2token, card1.
_BETWEEN: Final = re.compile(r"[\W\d_]+")
CACHED_CHARS: Final = 128  # longer texts are hardly names of variables, and would fill the cache


def is_sensitive(name: str) -> bool:
    """Whether one whole word of ``name``, or two neighbours, say that its value is a secret.

    ``user_password``, ``accessToken``, ``X-API-Key`` and ``credit.cards`` are sensitive; ``discard``,
    ``tokenizer`` and ``cart_total`` are not.
    """
    return _cached(name) if len(name) <= CACHED_CHARS else _scan(name)


def _scan(name: str) -> bool:
    """Compare each word and each pair of neighbouring words, with and without splitting camel case."""
    camel = _BETWEEN.split(_CAMEL.sub("_", name).lower())
    if not SENSITIVE_WORDS.isdisjoint(camel) or not _PAIRS.isdisjoint(pairwise(camel)):
        return True
    # Without splitting camel case as well: "passWord" and "IBANs" have boundaries inside the sensitive word.
    return not SENSITIVE_WORDS.isdisjoint(_BETWEEN.split(name.lower()))


_cached = lru_cache(maxsize=1024)(_scan)
