"""The W3C baggage header, ``key=value;property,key=value``: some of its entries read, and some written.

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
"""How long a header may be, bytes: the specification (section 3.2.2) has nobody pass on more."""

MOST_MEMBERS = 64
"""How many entries a header may have; from the same section."""


def read(header: str, names: Collection[str]) -> dict[str, str]:
    """The decoded values of the entries called ``names``; of several with one name the last.

    A ``+`` is no blank here, as the specification has it. What is beyond the longest header is not looked at.
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
    """Put entries into a header, in place of those that have their names; all others stay as they are.

    Args:
        there: The header, or an empty text.
        entries: By name; ``None`` takes the entry out.

    Returns:
        The header, and the names of entries for which there was no room.
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
