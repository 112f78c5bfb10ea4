"""Texts for people."""

from __future__ import annotations

import json

__all__ = ["counted", "shown_change", "shown_number", "shown_size", "shown_span", "shown_value"]

FEW_DECIMALS = 2
"""A fraction with up to this many decimals, such as an amount of money, is shown as it is."""

WHOLE_FROM, LARGEST = 1e3, 1e15
"""Between these bounds a number that is cut loses its fraction, and no digit before the point."""

TENTHS_TO = 100.0
"""From here on a figure has no tenths."""

_SPANS_S = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "hours"), (120, 60, "minutes"))


def counted(count: int, one: str, many: str) -> str:
    """A number with its noun in the right form: ``1 batch waits`` or ``3 batches wait``."""
    return f"{count} {one if count == 1 else many}"


def shown_number(value: float) -> str:
    """Write a number for people: a long fraction to four significant digits, everything else as it is."""
    text = repr(value)
    if isinstance(value, int) or ("e" not in text and len(text.partition(".")[2]) <= FEW_DECIMALS):
        return text
    return f"{value:.0f}" if WHOLE_FROM <= abs(value) < LARGEST else f"{value:.4g}"


def shown_value(value: object) -> str:
    """Write a recorded value for people: as JSON, texts without quotes, numbers as ``shown_number`` does."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return shown_number(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_json(one) if isinstance(one, str) else shown_value(one) for one in value)}]"
    return _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def shown_change(value: float) -> str:
    """Write a change with its sign, to a tenth; from 100 on, tenths say nothing."""
    return f"{value:+.0f}" if abs(value) >= TENTHS_TO else f"{value:+.1f}"


def shown_size(size_bytes: int) -> str:
    """Write a number of bytes for people: ``312 bytes``, ``149 KiB``, ``1.5 MiB``."""
    for unit, one in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size_bytes >= one:
            count = size_bytes / one
            return f"{count:.0f} {unit}" if count >= TENTHS_TO else f"{count:.3g} {unit}"
    return counted(size_bytes, "byte", "bytes")


def shown_span(seconds: float) -> str:
    """Write a span of time in the largest unit of which there are two: ``11 minutes``."""
    for least, unit_s, unit in _SPANS_S:
        if seconds >= least:
            return f"{seconds / unit_s:.0f} {unit}"
    return counted(round(seconds), "second", "seconds")
