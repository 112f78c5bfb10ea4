"""Reads and writes single entries of the W3C baggage header (``key=value;property,key=value``).

https://www.w3.org/TR/baggage/
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["HEADER", "MOST_BYTES", "read", "written"]

HEADER = "baggage"

MOST_BYTES = 8192
"""Longest header, bytes: the limit of W3C Baggage, section 3.2.2."""

MOST_MEMBERS = 64
"""Largest number of entries in a header: the limit of the same section."""


def read(header: str, names: Collection[str]) -> dict[str, str]:
    """The decoded values of the entries called ``names``; the last one where a name occurs several times.

    A ``+`` stays a plus sign, as the specification prescribes. Text beyond the longest header is ignored.
    """
    found = {}
    if len(header) > MOST_BYTES:
        header = header[: MOST_BYTES + 1].rpartition(",")[0]
    for member in header.split(","):
        name, separator, rest = member.partition("=")
        value = rest.partition(";")[0].strip(" \t")
        if separator and value.isascii() and name.strip(" \t") in names:
            found[name.strip(" \t")] = unquote(value)
    return found


def written(there: str, entries: Mapping[str, str | None]) -> tuple[str, list[str]]:
    """Set or remove entries of a header; all others stay as they are.

    Args:
        there: The present header, or an empty text.
        entries: Name of each entry to its value; ``None`` removes the entry.

    Returns:
        The new header, and the names of the entries for which it had no room.
    """
    kept = [member for member in there.split(",") if member.strip(" \t") and _name(member) not in entries]
    header, members = ",".join(kept), len(kept)
    left_out = []
    for name, value in entries.items():
        if value is None:
            continue
        longer = f"{header}{',' if header else ''}{name}={quote(value, safe='', errors='replace')}"
        if len(longer) > MOST_BYTES or members >= MOST_MEMBERS:
            left_out.append(name)
            continue
        header, members = longer, members + 1
    return header, left_out


def _name(member: str) -> str:
    return member.partition("=")[0].partition(";")[0].strip(" \t")
