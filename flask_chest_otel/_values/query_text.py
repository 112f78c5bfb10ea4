"""Replaces the literals in the text of a database query by ``?``.

A query that takes all its values from parameters stays as it is. This is not a full parser of SQL: where the end of a
literal is not certain, the rest of the text is left out.
"""

from __future__ import annotations

import re
from functools import lru_cache
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

_TOKEN: Final = re.compile(
    r"""
      (?P<comment> /\*.*?(?:\*/|$) | --[^\n]* )
    | (?P<dollar>  \$(?P<tag>[A-Za-z_]?\w*)\$ .*? (?:\$(?P=tag)\$|$) )
    | (?P<text>    '(?:[^']|'')*(?:'|$) )
    | (?P<double>  "(?:[^"]|"")*(?:"|$) )
    | (?P<name>    `[^`]*(?:`|$) )
    | (?P<mark>    [$:@?]\w+ | %s | %\(\w+\)s | [^\W\d]\w*(?:\.\w+)* )
    | (?P<number>  (?<![\w.]) (?: 0[xX][0-9A-Fa-f]+ | \d+(?:\.\d*)?(?:[eE][+-]?\d+)? | \.\d+ ) \w* )
    """,
    re.VERBOSE | re.DOTALL,
)
_AFTER_THEM_NAMES: Final = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|AS)\s+$", re.IGNORECASE)
_LITERAL_SIGNS: Final = re.compile(r"['\"\d\\]|\$\w*\$|/\*|--")
_AHEAD: Final = 16  # how many characters before a name in double quotes are examined


def without_literals(text: str, system: str = "") -> str:
    """Return ``text`` with ``?`` in place of each text and number in it.

    Args:
        text: A query in SQL or a similar language.
        system: The database system, as in ``db.system.name``; it decides what double quotes enclose.
    """
    if system in _COMMANDS:
        command, _, values = text.strip().partition(" ")
        return text if set(values) <= {"?", " "} else f"{command} {CUT}"
    return text if _LITERAL_SIGNS.search(text) is None else _masked(text, system in _QUOTED_IDENTIFIERS)


@lru_cache(maxsize=256)
def _masked(text: str, quoted_identifiers: bool) -> str:
    quote = _first_quote(text)
    if quote >= 0 and "\\" in text:
        # A backslash escapes a quote in some systems and is an ordinary character in others.
        text, rest = text[:quote], CUT
    else:
        rest = ""

    def replaced(found: re.Match[str]) -> str:
        kind = found.lastgroup if found.lastgroup != "tag" else "dollar"
        token = found[0]
        if kind in ("mark", "name"):
            return token
        if kind == "comment":
            return token if _LITERAL_SIGNS.search(token[2:-2]) is None else "/* ? */"
        if kind == "double" and (quoted_identifiers or _is_name(text, found)):
            return token
        return "?"

    return _TOKEN.sub(replaced, text) + rest


def _first_quote(text: str) -> int:
    places = [place for sign in "'\"$" if (place := text.find(sign)) >= 0]
    return min(places, default=-1)


def _is_name(text: str, found: re.Match[str]) -> bool:
    """Whether a text in double quotes is the name of a table or column, judged by the characters around it."""
    begin, end = found.span()
    beside = text[begin - 1 : begin] + text[end : end + 1]
    return "." in beside or _AFTER_THEM_NAMES.search(text[max(0, begin - _AHEAD) : begin]) is not None
