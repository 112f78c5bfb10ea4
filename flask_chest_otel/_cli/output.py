"""Prints text, tables and JSON safely: no value can move the cursor, change colours or look like another line."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from typing import TYPE_CHECKING, TypedDict

import click

from flask_chest_otel._cli.widths import cut, to_width, width_of
from flask_chest_otel._guard import lines, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "ERROR",
    "HEAD",
    "MISSING",
    "WARNING",
    "Style",
    "bar",
    "broken",
    "columns_here",
    "milliseconds",
    "number",
    "safe",
    "say",
    "say_file",
    "say_json",
    "say_json_line",
    "say_table",
    "say_wrapped",
    "sign",
    "styled",
    "whole",
]

MISSING = "-"
"""What a table shows where there is nothing."""

SHOWN_CHARS = 80
"""A longer value is cut in a table; ``--json`` shows all of it."""

SMALLEST, LARGEST = 1, 1e15
"""Between these bounds a number has two decimals; smaller ones have three significant digits."""

TWO_DIGITS = 9.995
"""From here on a number has two digits before the point."""

NARROWEST = 40
"""Smallest width that output is made for; a narrower terminal breaks lines itself, columns."""

NARROWEST_CELL = 3
"""Smallest width of a cell where a table does not fit, columns."""


class Style(TypedDict, total=False):
    """How a text looks: arguments of ``click.style``."""

    fg: str
    bold: bool


ERROR: Style = {"fg": "red", "bold": True}
WARNING: Style = {"fg": "magenta"}
HEAD: Style = {"bold": True}
"""Styles whose colours can be read on a light and on a dark terminal."""


def safe(value: object) -> str:
    """Return a value as text, with unprintable characters escaped, cut to ``SHOWN_CHARS``."""
    text = whole(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"


def whole(value: object) -> str:
    """Return a value as text, with unprintable characters escaped."""
    if value is None:
        return MISSING
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def number(value: float | None) -> str:
    """Write a number: whole ones as they are, others with two decimals, or below 1 three significant digits."""
    if value is None:
        return MISSING
    if value == 0 or (SMALLEST <= abs(value) < LARGEST and value == int(value)):
        return str(int(value))
    if abs(value) < SMALLEST:
        return f"{value:.3g}"
    return f"{value:.2f}" if abs(value) < LARGEST else f"{value:.4g}"


def milliseconds(value: float | None) -> str:
    """Write milliseconds with two decimals, from 10 on with one."""
    if value is None or abs(value) >= LARGEST:
        return MISSING if value is None else f"{value:.4g}"
    return f"{value:.{1 if abs(value) >= TWO_DIGITS else 2}f}"


def say_file(text: str) -> None:
    """Print the content of a file in UTF-8, whatever the terminal's encoding is."""
    click.echo(text.encode("utf-8", "replace"), nl=False)


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print lines; control characters, and characters that the encoding lacks, are escaped."""
    click.echo(_encodable(lines(text), to_stderr=to_stderr), err=to_stderr)


def styled(text: str, style: Style) -> str:
    """Escape a text, and add the codes of a style where the output shows colours. Only for ``click.echo``."""
    text = _encodable(printable(text))
    return click.style(text, **style) if style and _has_colours() else text


def say_wrapped(
    text: str, *, indent: str = "", hanging: int = 2, style: Style | None = None, to_stderr: bool = False
) -> None:
    """Print lines, escaped, each broken where it is wider than the terminal.

    Args:
        text: The lines; one that begins with spaces keeps them.
        indent: What stands before each line.
        hanging: How much further in a broken line goes on, columns.
        style: Style of all lines.
        to_stderr: Whether to print on standard error, for remarks that are no part of the result.
    """
    for margin, piece in broken(lines(text), indent=indent, hanging=hanging):
        click.echo((margin + styled(piece, style or {})).rstrip(), err=to_stderr)


def broken(text: str, *, indent: str = "", hanging: int = 2) -> Iterator[tuple[str, str]]:
    """Yield the lines that a text needs on this terminal, each as its margin and the text after the margin.

    Args:
        text: The lines; one that begins with spaces keeps them.
        indent: What stands before each line.
        hanging: How much further in a broken line goes on, columns.
    """
    for line in text.split("\n"):
        begin = indent + " " * (len(line) - len(line.lstrip(" ")))
        margin, rest = begin, _encodable(line.lstrip(" "))
        while True:
            piece = _piece(rest, max(columns_here() - width_of(margin), NARROWEST // 2))
            yield margin, piece
            rest = rest[len(piece) :].lstrip(" ")
            if not rest:
                break
            margin = begin + " " * hanging


def _piece(text: str, room: int) -> str:
    """Return the beginning of a text that fits, up to a space where one is near."""
    piece = to_width(text, room)
    space = piece.rfind(" ")
    return piece if len(piece) == len(text) or space < len(piece) // 2 else piece[:space]


def sign(wanted: str, instead: str) -> str:
    """Return ``wanted``, or ``instead`` where the output's encoding lacks it."""
    return wanted if _encodable(wanted) == wanted else instead


def bar(share: float, width: int, *, begin: float = 0.0) -> str:
    """Draw a bar.

    Args:
        share: Its length, as a part of ``width``; more than 0 gives at least one column.
        width: Columns of the longest bar.
        begin: Where it begins, as a part of ``width``.
    """
    if not (math.isfinite(share) and math.isfinite(begin)):
        return ""
    first = min(int(begin * width), width - 1)
    length = min(max(1, round(share * width)), width - first) if share > 0 else 0
    return " " * first + sign("█", "#") * length


def columns_here() -> int:
    """Return the width of the terminal in columns: from COLUMNS if it is set, else the terminal's own, else 80."""
    return max(shutil.get_terminal_size((80, 24)).columns, NARROWEST)


def say_json(value: object) -> None:
    """Print a value as JSON in ASCII; NaN and infinity, which JSON does not have, become texts."""
    _say_json(value, indent=2)


def say_json_line(value: object) -> None:
    """Print a value as ``say_json`` does, on one line."""
    _say_json(value)


def _say_json(value: object, indent: int | None = None) -> None:
    # DEL is the one control character that JSON leaves as it is.
    say(json.dumps(_finite(value), allow_nan=False, indent=indent).replace("\x7f", "\\u007f"))


def say_table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[int] = (),
    flexible: Mapping[int, int] | None = None,
    styles: Mapping[tuple[int, int], Style] | None = None,
    before: list[int] | None = None,
) -> None:
    """Print rows in columns under ``head``.

    Args:
        head: Names of the columns.
        rows: Cells of each row, which have to be printable (see ``safe``).
        right: Numbers of the columns that are aligned to the right, from 0.
        flexible: Number of each column that may be cut, to its smallest width. The widest column is cut first.
        styles: Row and column, both from 0, to the style of a cell.
        before: Widths of an earlier table that goes on here without a head. An empty list gets the widths of this
            table.
    """
    body = [[_encodable(cell) for cell in row] for row in rows]
    least = before or list(map(width_of, head))
    widths = [max(width, *(width_of(row[at]) for row in body), 0) for at, width in enumerate(least)]
    _shrink(widths, flexible or {})
    to_right = set(right)
    if not before:
        _say_row(head, widths, to_right, dict.fromkeys(range(len(head)), HEAD))
    for number, row in enumerate(body):
        _say_row(row, widths, to_right, {at: (styles or {}).get((number, at), {}) for at in range(len(head))})
    if before is not None:
        before[:] = widths


def _say_row(row: Sequence[str], widths: Sequence[int], right: set[int], styles: Mapping[int, Style]) -> None:
    cells = []
    for at, (cell, width) in enumerate(zip(row, widths, strict=True)):
        text = cut(cell, width, sign("…", "~"))
        gap = " " * (width - width_of(text))
        cells.append(gap + styled(text, styles[at]) if at in right else styled(text, styles[at]) + gap)
    click.echo("  ".join(cells).rstrip())


def _shrink(widths: list[int], flexible: Mapping[int, int]) -> None:
    """Make the widest flexible column smaller until the table fits: to their smallest widths first, then below."""
    room = columns_here() - 2 * (len(widths) - 1)
    for bounds in (flexible, dict.fromkeys(flexible, NARROWEST_CELL)):
        while sum(widths) > room and (able := [at for at, least in bounds.items() if widths[at] > least]):
            widths[max(able, key=lambda at: widths[at])] -= 1


def _has_colours() -> bool:
    """Whether the output is a terminal that shows colours, and NO_COLOR (https://no-color.org) is not set."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and sys.stdout.isatty()


def _encodable(text: str, *, to_stderr: bool = False) -> str:
    encoding = getattr(sys.stderr if to_stderr else sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
