"""Words on a terminal: whatever a value holds, it cannot move the cursor, change colours or look like another line."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

import click

from flask_chest_otel._guard import lines, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["MISSING", "number", "safe", "say", "say_json", "say_table"]

MISSING = "-"
"""What a table shows where there is nothing."""

SHOWN_CHARS = 80
"""A longer value is cut in a table; ``--json`` shows all of it."""


SMALLEST, LARGEST = 1, 1e15
"""Between these, a number with two decimals says enough; below, it takes three significant digits."""


def safe(value: Any) -> str:
    """The text of one value: unprintable characters escaped, cut to ``SHOWN_CHARS``."""
    if value is None:
        return MISSING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = printable(text)
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"


def number(value: float) -> str:
    """A number for people: whole ones as they are, else two decimals, or three digits below 1 (seconds, often)."""
    if value == 0 or (SMALLEST <= abs(value) < LARGEST and value == int(value)):
        return str(int(value))
    if abs(value) < SMALLEST:
        return f"{value:.3g}"
    return f"{value:.2f}" if abs(value) < LARGEST else f"{value:.4g}"


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print lines; what would drive the terminal, and what its encoding lacks, is escaped."""
    text = lines(text)
    encoding = getattr(sys.stderr if to_stderr else sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.encode(encoding, "backslashreplace").decode(encoding), err=to_stderr)


def say_json(value: Any) -> None:
    """Print ``value`` as JSON in ASCII; NaN and infinity, which JSON lacks, become texts."""
    # DEL is the one control character that JSON leaves as it is.
    say(json.dumps(_finite(value), indent=2, allow_nan=False).replace("\x7f", "\\u007f"))


def say_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Print rows in columns under ``head``; those counted in ``right`` are aligned to the right."""
    table = [head, *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(head))]
    to_right = set(right)
    for row in table:
        cells = (
            cell.rjust(width) if at in to_right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        say("  ".join(cells).rstrip())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
