"""Replaces the literals in the text of a database query by ``?``.

A query that takes all its values from parameters stays as it is. This is not a full parser of SQL: where the end of a
literal is not certain, the rest of the text is left out.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

__all__ = ["CUT", "without_literals"]

CUT: Final = "?…"
"""Replaces the rest of a text after a literal whose end is not certain."""

_QUOTED_IDENTIFIERS: Final = frozenset(
    ("postgresql", "oracle", "oracle.db", "mssql", "microsoft.sql_server", "cockroachdb", "aws.redshift", "redshift")
)
"""Database systems in which double quotes enclose names only."""

_COMMANDS: Final = frozenset(("redis", "valkey", "memcached"))
"""Database systems whose commands contain values without quotes."""

_BRACKETED_NAMES: Final = frozenset(("mssql", "microsoft.sql_server", "sqlite"))
"""Database systems in which square brackets enclose names."""

_MYSQL: Final = frozenset(("mysql", "mariadb"))
"""Database systems in which ``#`` begins a comment, backticks enclose names, and ``--`` needs a space after it."""

_NEITHER: Final = _QUOTED_IDENTIFIERS - _BRACKETED_NAMES
"""Database systems in which brackets and ``#`` have nothing to do with names and comments."""

_DASHES: Final = _NEITHER | _BRACKETED_NAMES
"""Database systems in which ``--`` begins a comment, whatever follows."""

_KNOWN: Final = _DASHES | _MYSQL

_PARTS: Final = r"""
      (?P<comment> /\*.*?(?:\*/|$) | --[^\n]* )
    | (?P<dollar>  \$(?P<tag>[A-Za-z_]?\w*)\$ .*? (?:\$(?P=tag)\$|$) )
    | (?P<unclear> (?<![\w$])[nN]?[qQ]' )  # Oracle: q'[it's]'
    | (?P<text>    '(?:[^']|'')*(?:'|$) )
    | (?P<double>  "(?:[^"]|"")*(?:"|$) )
    | (?P<name>    `[^`]*(?:`|$) )
    | (?P<mark>    [$:@?]\w+ | %s | %\(\w+\)s | [^\W\d]\w*(?:\.\w+)* )
    | (?P<number>  (?<![\w.]) (?: 0[xX][0-9A-Fa-f]+ | \d+(?:\.\d*)?(?:[eE][+-]?\d+)? | \.\d+ ) \w* )
"""
_ALSO_BRACKETS: Final = r"| (?P<bracket> \[[^\]]*(?:\]|$) )"
_ALSO_HASH: Final = r"| (?P<hash> \#[^\n]* )"
# One quote in brackets, or one after a #: what it begins depends on the system.
_PERHAPS_EITHER: Final = r"""| (?P<perhaps> \[[^\]'"`]*['"`][^\]'"`]*\] | \#[^\n]*['"`] )"""
_AFTER_THEM_NAMES: Final = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|AS)\s+$", re.IGNORECASE)
_AFTER_THEM_PASSWORDS: Final = re.compile(r"\bIDENTIFIED\s+BY\s+$", re.IGNORECASE)
_LITERAL_SIGNS: Final = re.compile(r"['\"\d\\]|\$\w*\$|/\*|--")
_AHEAD: Final = 24  # how many characters before a name in double quotes are examined


def without_literals(text: str, system: str = "") -> str:
    """Return ``text`` with ``?`` in place of each text and number in it.

    Args:
        text: A query in SQL or a similar language.
        system: The database system, as in ``db.system.name``; it decides what double quotes, backticks, brackets, ``#``
            and ``--`` mean.
    """
    if system in _COMMANDS:
        words = text.split(None, 1)
        return text if len(words) < 2 or set(words[1]) <= {"?", " "} else f"{words[0]} {CUT}"  # noqa: PLR2004 - a pair
    return text if _LITERAL_SIGNS.search(text) is None else _masked(text, system)


@cache
def _tokens(system: str) -> re.Pattern[str]:
    """The tokens of a known system; of all others for ``""``."""
    also = ""
    if system in _BRACKETED_NAMES:
        also = _ALSO_BRACKETS
    elif system in _MYSQL:
        also = _ALSO_HASH
    elif system not in _NEITHER:
        also = _PERHAPS_EITHER
    return re.compile(_PARTS + also, re.VERBOSE | re.DOTALL)


@lru_cache(maxsize=256)
def _masked(text: str, system: str) -> str:
    quote = _first_quote(text)
    if quote >= 0 and "\\" in text:
        # A backslash escapes a quote in some systems and is an ordinary character in others.
        text, rest = text[:quote], CUT
    else:
        rest = ""
    parts: list[str] = []
    done = 0
    for found in _tokens(system if system in _KNOWN else "").finditer(text):
        if _is_unclear(found, system):
            return "".join((*parts, text[done : found.start()], CUT))
        parts += text[done : found.start()], _replaced(found, system)
        done = found.end()
    return "".join((*parts, text[done:], rest))


def _is_unclear(found: re.Match[str], system: str) -> bool:
    """Whether systems see different ends in a token, so that what follows may be code or a literal."""
    kind, token = found.lastgroup, found[0]
    if kind == "comment":
        nests = "/*" in token[2:]
        return nests or (token[:2] == "--" and not token[2:3].isspace() and _has_quote(token) and system not in _DASHES)
    if kind == "name":
        return system not in _MYSQL and _has_quote(token[1:-1])
    return kind in ("unclear", "perhaps")


def _has_quote(token: str) -> bool:
    return "'" in token or '"' in token


def _replaced(found: re.Match[str], system: str) -> str:
    kind, token = found.lastgroup, found[0]
    if kind in ("mark", "name", "bracket"):
        return token
    if kind == "hash":
        return token if _LITERAL_SIGNS.search(token) is None else "# ?"
    if kind == "comment":
        return token if _LITERAL_SIGNS.search(token[2:-2]) is None else "/* ? */"
    if kind == "double" and (system in _QUOTED_IDENTIFIERS or _is_name(found)) and not _is_password(found):
        return token
    return "?"


def _first_quote(text: str) -> int:
    places = [place for sign in "'\"$" if (place := text.find(sign)) >= 0]
    return min(places, default=-1)


def _is_name(found: re.Match[str]) -> bool:
    """Whether a text in double quotes is the name of a table or column, judged by the characters around it."""
    before = _before(found)
    beside = before[-1:] + found.string[found.end() : found.end() + 1]
    return "." in beside or _AFTER_THEM_NAMES.search(before) is not None


def _is_password(found: re.Match[str]) -> bool:
    """Whether a text in double quotes is the password of a user, as Oracle has it."""
    return _AFTER_THEM_PASSWORDS.search(_before(found)) is not None


def _before(found: re.Match[str]) -> str:
    return found.string[max(0, found.start() - _AHEAD) : found.start()]
