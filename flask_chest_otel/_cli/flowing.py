"""Fits output to the terminal's width: sentences are broken into lines, and wide tables become blocks.

Output to a file or a pipe keeps one line for each row, for grep and awk.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from flask_chest_otel._cli.output import HEAD, MISSING, broken, columns_here, say, say_table, say_wrapped
from flask_chest_otel._cli.widths import width_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import click

__all__ = ["flow_message", "say_flowing", "say_table_or_blocks"]

PREFIX = "Error: "
"""What click prints before the message of an error."""


def say_flowing(text: str, *, to_stderr: bool = False) -> None:
    """Print lines; on a terminal, each is broken at the terminal's width."""
    say(_broken(text) if _is_terminal(to_stderr=to_stderr) else text, to_stderr=to_stderr)


def say_table_or_blocks(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Print a table; on a terminal that is too narrow, print a block for each row that is too wide, below the table.

    Where many rows are too wide there is no table, only blocks.

    Args:
        head: Names of the columns.
        rows: Cells of each row, which have to be printable (see ``output.safe``).
        right: Numbers of the columns that are aligned to the right, from 0.
    """
    body = list(rows)
    table = _fitting(head, body) if _is_terminal() else body
    if table:
        say_table(head, table, right=right)
    for row in body:
        if row not in table:
            _say_block(head, row)


def _fitting(head: Sequence[str], body: list[Sequence[str]]) -> list[Sequence[str]]:
    """The rows of a table that fits on the terminal; none where these are few."""
    widest_last = sorted(body, key=lambda row: sum(map(width_of, row)))
    while 4 * len(widest_last) > 3 * len(body):
        widths = [max(map(width_of, column)) for column in zip(head, *widest_last, strict=True)]
        if sum(widths) + 2 * (len(widths) - 1) <= columns_here():
            return [row for row in body if row in widest_last]
        widest_last.pop()
    return []


def _say_block(head: Sequence[str], row: Sequence[str]) -> None:
    say_wrapped(f"{head[0]} {row[0]}", style=HEAD)
    width = max(map(width_of, head[1:]))
    for name, cell in zip(head[1:], row[1:], strict=True):
        if cell != MISSING:
            say_wrapped(f"  {name.lower():{width}}  {cell}", hanging=width + 2)


def flow_message(error: click.ClickException) -> None:
    """Break the message of an error at the terminal's width, before click prints it."""
    if _is_terminal(to_stderr=True):
        text = _broken(PREFIX + error.format_message())
        error.format_message = lambda: text.removeprefix(PREFIX)  # type: ignore[method-assign]


def _broken(text: str) -> str:
    return "\n".join((margin + piece).rstrip() for margin, piece in broken(text))


def _is_terminal(*, to_stderr: bool = False) -> bool:
    return (sys.stderr if to_stderr else sys.stdout).isatty()
