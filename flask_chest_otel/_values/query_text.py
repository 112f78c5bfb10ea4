"""The text of a database query without what is in it: literals become ``?``.

Texts that take all values from parameters stay as they are. This is no parser of SQL: where it is not clear where a
literal ends, everything that follows is left out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["CUT", "without_literals"]

CUT: Final = "?…"
"""What stands in the place of all that follows a literal whose end is not clear."""

_QUOTED_IDENTIFIERS: Final = frozenset(
    ("postgresql", "oracle", "oracle.db", "mssql", "microsoft.sql_server", "cockroachdb", "aws.redshift", "redshift")
)
"""Systems in which double quotes stand around names only."""

_COMMANDS: Final = frozenset(("redis", "valkey", "memcached"))
"""Systems whose commands have values without any quotes."""

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
_AHEAD: Final = 16  # characters before a name in double quotes that are looked at


def without_literals(text: str, system: str = "") -> str:
    """``text`` with ``?`` for each text and number in it.

    Args:
        text: A query in SQL or a language like it.
        system: The database system, as ``db.system.name`` says it; what double quotes are depends on it.
    """
    if system in _COMMANDS:
        command, _, values = text.strip().partition(" ")
        return text if set(values) <= {"?", " "} else f"{command} {CUT}"
    return text if _LITERAL_SIGNS.search(text) is None else _masked(text, system in _QUOTED_IDENTIFIERS)


@lru_cache(maxsize=256)
def _masked(text: str, quoted_identifiers: bool) -> str:
    quote = _first_quote(text)
    if quote >= 0 and "\\" in text:
        # A backslash escapes a quote in some systems, and is a sign like others elsewhere.
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
    """Whether what stands in double quotes is the name of a table or column: some systems have texts there."""
    begin, end = found.span()
    beside = text[begin - 1 : begin] + text[end : end + 1]
    return "." in beside or _AFTER_THEM_NAMES.search(text[max(0, begin - _AHEAD) : begin]) is not None
