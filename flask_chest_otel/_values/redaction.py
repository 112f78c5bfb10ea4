"""Redaction of sensitive values: mask, hash, drop, or a function of the user's.

The decision depends on the name only: a password in a variable called ``note`` is recorded as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from enum import Enum
from functools import cache, lru_cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import unquote_plus

from flask_chest_otel._base.sensitive import CACHED_CHARS, SENSITIVE_WORDS, is_sensitive
from flask_chest_otel._values.lazy import is_model, is_proxy

__all__ = [
    "DROPPED",
    "MASK",
    "Dropped",
    "Redact",
    "Refused",
    "redacted_beginning",
    "redacted_entry",
    "redacted_query",
    "redacted_words",
    "redactor",
]

MASK: Final = "[REDACTED]"
"""The text that is recorded in place of a masked value."""

Redact: TypeAlias = Literal["auto", "mask", "hash", "drop"] | Callable[[Any], object] | None
"""The values that ``TrackedVar(redact=…)`` takes."""


class Dropped(Enum):
    """The type of `DROPPED`; an enum, so that type checkers narrow ``is DROPPED``."""

    DROPPED = "dropped"


DROPPED: Final = Dropped.DROPPED
"""The result of the ``"drop"`` redaction: nothing is recorded for this variable."""


class Refused(Exception):  # noqa: N818 - an outcome that is counted, not an error that is shown
    """A value cannot be recorded.

    It is defined in this module because ``convert``, which imports this module, raises it, too.

    Attributes:
        reason: Why, in a few words that contain no part of the value.
    """

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        self.reason = reason
        super().__init__(reason)


_HASHED_CHARS: Final = 65_536  # about 0.1 ms; a 10 MB value would take ten

# Beside the sensitive words: OAuth's code, and the parameters that the HTTP semantic conventions redact.
_PARAMETERS: Final = frozenset({"code", "sig", "signature", "awsaccesskeyid", "x-goog-signature", "x-amz-signature"})
_MASKED_PARAMETER: Final = "REDACTED"  # the word that the semantic conventions prescribe
# Every sensitive name contains one of these. Searching for all of them takes longer than a few cached names.
_HINTS: Final = ("%", "code", "sig", "key", *(word for word in SENSITIVE_WORDS if word[:-1] not in SENSITIVE_WORDS))
_FEW: Final = 16
# A name begins at the beginning of a word, or after the dashes of an option, and has a length limit, so that matching
# takes linear time on any text. In JSON inside of a text, quotes have backslashes before them.
_NAMED: Final = r"""(?<![\w.])(?<!\w-)([A-Za-z_][\w.-]{0,63})\\?["']?\s{0,2}(?:=>|=|:)\s{0,2}"""
_VALUE: Final = r"""
    (?:[bru]{1,2}(?=["']))? (["']) (?:\\.|\1\1|(?!\1)[^\n\\])* \1  # a quote inside is doubled or has a backslash
    | \\(["']) .*? \\\2
    | (?:Digest|OAuth|Hawk|AWS4-HMAC-SHA256) \s [^\n]+  # schemes of which many parameters follow
    | (?:Bearer|Basic|Token|ApiKey|Negotiate) \s+ [^\s,;&"']+
    # What separates values is part of one, unless a space or the next name follows.
    | ["']? (?: [^\s,;&"'()\[\]{}] | [,;&(] (?! \s | $ | ["']?[\w.-]{1,64}["']?\s{0,2}[=:] ) )+
"""
_OPENING, _CLOSING = tuple("([{"), tuple(")]}")
# The last @ ends a password, which may contain more of them; also a slash, where a number before it is no port.
_USER_IN_ADDRESS: Final = r"""(://)(?:[^\s/?#"']{1,255}|[^\s/@?#:"']{0,255}:(?!\d{1,5}[/?#])[^\s"'<>]{1,255})@"""
_SQL_PARAMETERS: Final = r"(\[parameters: )[^\n]+"  # SQLAlchemy quotes what was sent with a query that failed
_AROUND_CUT: Final = 1024
_QUERY_CHARS: Final = 8192  # gunicorn and uWSGI refuse longer ones; others take 256 KiB, with a name every 4 bytes


def redacted_query(query: str) -> str:
    """Replace the values of sensitive parameters in a query string, cut to 8192 characters.

    See https://opentelemetry.io/docs/specs/semconv/url/.
    """
    query = query[:_QUERY_CHARS]
    if query.count("&") > _FEW and not _is_hinted(query):
        return query
    return "&".join(map(_redacted_parameter, query.split("&")))


def redacted_words(text: str) -> str:
    """Mask passwords and tokens in a sentence for people, such as an exception's message.

    Examples: ``password=…``, ``'token': '…'``, ``Authorization: Bearer …``, the user in an address, sensitive
    parameters of an address, and the parameters of a query that SQLAlchemy quotes.
    """
    if "=" not in text and ":" not in text:
        return text
    patterns = _patterns()
    text = patterns.user_in_address.sub(rf"\1{MASK}@", text)
    text = patterns.sql_parameters.sub(rf"\1{MASK}]", text)
    parts: list[str] = []
    done = 0
    for found in patterns.named.finditer(text):
        end = _end_of_value(text, found.end()) if found.start() >= done and _is_secret(found) else None
        if end is not None:
            parts += text[done : found.end()], MASK
            done = end
    return "".join((*parts, text[done:]))


def redacted_beginning(text: str, chars: int) -> str:
    """Mask the beginning of a text, about ``chars`` characters, as :func:`redacted_words` does.

    A secret may lie across the cut, where nothing tells that it is one: what is near the cut is left out.
    """
    window = chars + _AROUND_CUT
    masked = redacted_words(text[:window])
    return masked if len(text) <= window else masked[:-_AROUND_CUT]


def _end_of_value(text: str, begin: int) -> int | None:
    """Where a value ends; a list or a mapping, at the bracket that closes it. ``None``: there is no value."""
    if not text.startswith(_OPENING, begin):
        found = _patterns().value.match(text, begin)
        return found.end() if found is not None else None
    depth = 0
    for at in range(begin, len(text)):
        depth += (text[at] in _OPENING) - (text[at] in _CLOSING)
        if depth == 0:
            return at + 1
    return len(text)


def _is_secret(found: re.Match[str]) -> bool:
    """Whether the name of a value in a sentence is sensitive; more names are so in the query of an address."""
    name, before = found[1], found.string[found.start() - 1 : found.start()]
    return is_sensitive(name) or (before in ("?", "&") and name.lower() in _PARAMETERS)


class _Patterns(NamedTuple):
    named: re.Pattern[str]
    value: re.Pattern[str]
    user_in_address: re.Pattern[str]
    sql_parameters: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    """Compile the patterns when they are first needed: compiling them at import would delay every start by 1 ms."""
    value = re.compile(_VALUE, re.VERBOSE | re.IGNORECASE)
    named, user, parameters = map(re.compile, (_NAMED, _USER_IN_ADDRESS, _SQL_PARAMETERS))
    return _Patterns(named, value, user, parameters)


def redacted_entry(name: str, item: object) -> object:
    """An entry of a mapping. The query strings of a WSGI environment are redacted; other values stay as they are."""
    if type(item) is str:
        if name == "QUERY_STRING":
            return redacted_query(item)
        if name in ("RAW_URI", "REQUEST_URI"):
            path, mark, query = item.partition("?")
            return path + mark + redacted_query(query)
    return item


def _redacted_parameter(parameter: str) -> str:
    name, separator, value = parameter.partition("=")
    secret = value and (_cached_parameter(name) if len(name) <= CACHED_CHARS else _is_secret_parameter(name))
    return f"{name}{separator}{_MASKED_PARAMETER}" if secret else parameter


def _is_secret_parameter(name: str) -> bool:
    plain = unquote_plus(name)
    return _is_hinted(plain) and (plain.lower() in _PARAMETERS or is_sensitive(plain))


def _is_hinted(text: str) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in _HINTS)


_cached_parameter = lru_cache(maxsize=1024)(_is_secret_parameter)


def redactor(name: str, redact: Redact, secret: str | None) -> Callable[[object], Any] | None:
    """Make the function that redacts the values of one variable.

    Args:
        name: The variable's name on ``g``.
        redact: ``redact`` of the `TrackedVar`.
        secret: Key of the hashes. Without a key, short values can be guessed from their hashes.

    Returns:
        ``None`` where values are recorded as they are; else a function from the raw value to its replacement. The
        function may return `DROPPED` and may raise `Refused`; it returns ``None`` for ``None``, which means "not set".
    """
    if redact == "auto":
        redact = "mask" if is_sensitive(name) else None
    if redact is None:
        return None
    if redact == "mask":
        return _mask
    if redact == "drop":
        return _drop
    if redact == "hash":
        return _hasher(secret)
    return _called(redact)


def _mask(value: object) -> str | None:
    return None if value is None else MASK


def _drop(value: object) -> Dropped:  # noqa: ARG001 - the same signature as the others
    return DROPPED


def _hasher(secret: str | None) -> Callable[[object], str | None]:
    """Make the function from a value to 16 hexadecimal digits: equal for equal texts, in every variable and process.

    Args:
        secret: Key of the hash. It is hashed first, as BLAKE2b takes keys of at most 64 bytes (RFC 7693).
    """
    key = hashlib.blake2b((secret or "").encode("utf-8", "surrogatepass")).digest() if secret else b""
    prepared = hashlib.blake2b(digest_size=8, key=key, person=b"chest-redact-1")

    def hashed(value: object) -> str | None:
        if value is None:
            return None
        text = _text_of(value)
        hasher = prepared.copy()
        hasher.update(text[:_HASHED_CHARS].encode("utf-8", "surrogatepass"))
        if len(text) > _HASHED_CHARS:
            # UTF-8 has no byte 0xff, so no shorter text can produce the same bytes.
            hasher.update(b"\xff%d" % len(text))
        return hasher.hexdigest()

    return hashed


def _called(function: Callable[[object], object]) -> Callable[[object], object]:
    """Wrap the user's own redaction: where it raises, the value is refused and not recorded."""

    def replaced(value: object) -> object:
        if value is None:
            return None
        try:
            return function(value)
        except Exception as error:
            raise Refused(f"redact raised {type(error).__name__}") from error

    return replaced


def _text_of(value: object) -> str:
    """The text to hash; raises `Refused` where the value has none that may be asked for."""
    if is_proxy(type(value)) or is_model(type(value)):
        raise Refused("not asked for its text: TrackedVar(…, convert=…) says what to hash")
    try:
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8", "replace")
        return str(value)
    except Exception as error:
        raise Refused(f"its text cannot be had: {type(error).__name__}") from error
