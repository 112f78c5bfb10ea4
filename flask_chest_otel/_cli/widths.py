"""Measures and cuts texts by terminal columns: Chinese, Japanese and Korean characters and emoji take two each."""

from __future__ import annotations

from unicodedata import category, east_asian_width

__all__ = ["cut", "to_width", "width_of"]


def width_of(text: str) -> int:
    """Return how many columns a printable text takes."""
    return len(text) if text.isascii() else sum(map(_width, text))


def to_width(text: str, columns: int) -> str:
    """Return the beginning of ``text`` that fits, which is at least one character."""
    if width_of(text) <= columns:
        return text
    taken, end = 0, 0
    while end < len(text) and (taken + _width(text[end]) <= columns or end == 0):
        taken += _width(text[end])
        end += 1
    return text[:end]


def cut(text: str, columns: int, mark: str) -> str:
    """Return ``text``, or where it does not fit its beginning and ``mark``, which takes one column."""
    return text if width_of(text) <= columns else to_width(text, max(1, columns - 1)) + mark


def _width(sign: str) -> int:
    if category(sign) in {"Mn", "Me"}:  # accents, which are drawn over the character before
        return 0
    return 2 if east_asian_width(sign) in {"W", "F"} else 1
