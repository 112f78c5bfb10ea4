"""``flask chest errors``: shows the exceptions of requests, how often they came, and when."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from flask_chest_otel._base.text import counted
from flask_chest_otel._cli import options, times
from flask_chest_otel._cli.filters import filters
from flask_chest_otel._cli.nothing_found import why_nothing
from flask_chest_otel._cli.output import ERROR, safe, say, say_json, say_wrapped, whole
from flask_chest_otel._cli.request_table import short_ids
from flask_chest_otel._cli.source import open_store
from flask_chest_otel._store.wanted import Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from flask_chest_otel._store.answers import ErrorGroup

__all__ = ["command"]

MESSAGE_CHARS = 200
"""How many characters of a message are shown."""

EXAMPLES = """\b
Examples:
  flask chest errors --since 1h
  flask chest errors --error PaymentError --version 1.5.0
  flask chest errors --store instance/flask_chest.sqlite3 --json
"""


@click.command(name="errors", epilog=EXAMPLES, short_help="Which exceptions, how often, since when.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many groups, at most."
)
@filters("since", "until", "route", "method", "path", "status", "error", "version", "service", "variables")
@options.store_option
@options.json_option
def command(*, wanted: Wanted, limit: int, utc: bool, store: Path | None, as_json: bool) -> None:
    """Show the exceptions that requests recorded, those that an error handler answered, too.

    Grouped by type, place in the application's code, and route: how often, first, last, the message of the last one and
    the ids of the last three; the most frequent first. flask chest show ID has the stack.
    """
    with open_store(store) as reader:
        found = reader.errors(wanted)
        why = "" if found or as_json or wanted == Wanted() else why_nothing(reader, wanted, utc=utc)
    if as_json:
        say_json([asdict(group) for group in found[:limit]])
        return
    several = len({group.service for group in found}) > 1
    for number, group in enumerate(found[:limit]):
        if number:
            say("")
        _say(group, utc=utc, several=several)
    if not found:
        which = "" if wanted == Wanted() else " that is like that"
        say_wrapped(f"No request in the store recorded an exception{which}.{why}", to_stderr=True)
    elif len(found) > limit:
        say(f"{counted(len(found) - limit, 'more group', 'more groups')}: --limit {len(found)}", to_stderr=True)


def _say(group: ErrorGroup, *, utc: bool, several: bool) -> None:
    where = [whole(group.route), *[f"of {whole(group.service)}"] * several]
    say_wrapped(f"{counted(group.count, 'time', 'times')} {whole(group.type)}, {' '.join(where)}", style=ERROR)
    handled = {0: "", group.count: ", handled"}.get(group.handled, f", {group.handled} of them handled")
    if group.place or handled:
        say_wrapped(f"at {whole(group.place or None)}{handled}", indent="    ")
    if group.last_message:
        text = whole(group.last_message)
        say_wrapped(text if len(text) <= MESSAGE_CHARS else f"{text[:MESSAGE_CHARS]}…", indent="    ")
    shown = times.clock((group.first, group.last), utc=utc)
    when = f"first {shown[group.first]}, last {shown[group.last]}" if group.count > 1 else shown[group.last]
    say_wrapped(when, indent="    ")
    short = short_ids(group.last_ids)
    say_wrapped(f"flask chest show {'  '.join(safe(short[one]) for one in group.last_ids)}", indent="    ")
