"""``flask chest doctor``: shows the set-up, tries it, and says for each problem what to type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flask_chest_otel._cli import options
from flask_chest_otel._cli.flowing import say_flowing, say_table_or_blocks
from flask_chest_otel._cli.output import say, say_json
from flask_chest_otel._cli.source import app_here
from flask_chest_otel._guard import printable
from flask_chest_otel.errors import ChestError

if TYPE_CHECKING:
    from flask_chest_otel._doctor import Part

__all__ = ["command"]

EXAMPLES = """\b
Examples:
  flask --app shop chest doctor
  flask --app shop chest doctor --no-send --json
"""


@click.command(name="doctor", epilog=EXAMPLES, short_help="What is set up, and whether it works.")
@click.option("--send/--no-send", default=True, help="Send a span and a metric through the exporters.")
@click.option(
    "--timeout",
    "timeout_s",
    type=options.seconds,
    metavar="SECONDS",
    default=5.0,
    show_default=True,
    help="How long that may take.",
)
@options.json_option
def command(*, send: bool, timeout_s: float, as_json: bool) -> None:
    """Show settings and their sources, providers, entry points, and whether a span and a metric get through.

    Ends with status 1 where something is wrong, with a sentence on each problem and what to type.
    """
    # Imported here because it imports an SDK, and every `flask` command loads this package.
    from flask_chest_otel._doctor import examine, examine_environment  # noqa: PLC0415

    first: list[str] = []
    try:
        parts = examine(app_here(), send=send, timeout_s=timeout_s)
    except ChestError as error:
        first = [str(error)]
        parts = examine_environment()
    problems = list(dict.fromkeys([*first, *(problem for part in parts for problem in part.problems)]))
    if as_json:
        say_json({"problems": problems, **{part.key: [row._asdict() for row in part.rows] for part in parts}})
    else:
        _say(parts, problems)
    if problems:
        raise click.exceptions.Exit(1)


def _say(parts: list[Part], problems: list[str]) -> None:
    for part in parts:
        if part.rows:
            say_table_or_blocks(part.head, [tuple(map(printable, row)) for row in part.rows])
            say("")
    if not problems:
        say("No problem was found.")
    for number, problem in enumerate(problems, start=1):
        say_flowing(f"{number}. {printable(problem)}")
