"""What is as wide as it is, made for the terminal it comes to: sentences are broken, wide tables become blocks.

Where the output goes elsewhere, it stays one line a row, for grep and awk.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from flask_chest_otel._cli.output import HEAD, MISSING, columns_here, say, say_table, styled
from flask_chest_otel._cli.widths import to_width, width_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["flow_message", "say_flowing", "say_table_or_blocks"]

PREFIX = "Error: "
"""What click prints before the message of an error."""


def say_flowing(text: str, *, to_stderr: bool = False) -> None:
    """Print lines; on a terminal, each broken at its width."""
    say("\n".join(_broken(text)) if _is_terminal(to_stderr=to_stderr) else text, to_stderr=to_stderr)


def say_table_or_blocks(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Print a table; on a terminal that is too narrow for it, a block for each row.

    Args:
        head: Names of the columns.
        rows: Their cells, made safe.
        right: Columns of the table that are aligned to the right.
    """
    body = list(rows)
    widths = [max(map(width_of, column)) for column in zip(head, *body, strict=True)]
    if not _is_terminal() or sum(widths) + 2 * (len(widths) - 1) <= columns_here():
        say_table(head, body, right=right)
        return
    for row in body:
        _say_block(head, row)


def _say_block(head: Sequence[str], row: Sequence[str]) -> None:
    click.echo("\n".join(styled(line, HEAD) for line in _broken(f"{head[0]} {row[0]}")))
    width = max(map(width_of, head[1:]))
    for name, cell in zip(head[1:], row[1:], strict=True):
        if cell != MISSING:
            say("\n".join(_broken(f"  {name.lower():{width}}  {cell}", hanging=width + 4)))


def flow_message(error: click.ClickException) -> None:
    """Break the message of an error at the width of the terminal on which click will print it."""
    if _is_terminal(to_stderr=True):
        text = "\n".join(_broken(PREFIX + error.format_message()))
        error.format_message = lambda: text.removeprefix(PREFIX)  # type: ignore[method-assign]


def _broken(text: str, *, hanging: int = 2) -> Iterator[str]:
    """The lines of a text, each broken at spaces, or where a word is longer than a line."""
    for line in text.split("\n"):
        piece, *words = line.split(" ")
        for word in words:
            if width_of(piece) + 1 + width_of(word) <= columns_here():
                piece += f" {word}"
            else:
                yield from _cut(piece)
                piece = " " * hanging + word
        yield from _cut(piece)


def _cut(piece: str) -> Iterator[str]:
    while width_of(piece) > columns_here():
        begin = to_width(piece, columns_here())
        yield begin
        piece = piece[len(begin) :]
    yield piece


def _is_terminal(*, to_stderr: bool = False) -> bool:
    return (sys.stderr if to_stderr else sys.stdout).isatty()
