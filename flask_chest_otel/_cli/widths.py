"""How many columns of a terminal a text takes: characters of Chinese, Japanese, Korean and emoji take two."""

from __future__ import annotations

from unicodedata import category, east_asian_width

__all__ = ["cut", "to_width", "width_of"]


def width_of(text: str) -> int:
    """Columns that a printable text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def to_width(text: str, columns: int) -> str:
    """As much of the beginning of ``text`` as fits, but one character at least."""
    if width_of(text) <= columns:
        return text
    taken, end = 0, 0
    while end < len(text) and (taken + _width(text[end]) <= columns or end == 0):
        taken += _width(text[end])
        end += 1
    return text[:end]


def cut(text: str, columns: int, mark: str) -> str:
    """``text``, or its beginning and a mark of one column."""
    return text if width_of(text) <= columns else to_width(text, max(1, columns - 1)) + mark


def _width(sign: str) -> int:
    if category(sign) in {"Mn", "Me"}:  # accents, drawn over the character before
        return 0
    return 2 if east_asian_width(sign) in {"W", "F"} else 1
