"""``flask chest requests``: lists the last requests with their variables and ids."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from flask_chest_otel._cli import options
from flask_chest_otel._cli.as_json import request_object
from flask_chest_otel._cli.filters import filters
from flask_chest_otel._cli.nothing_found import why_nothing
from flask_chest_otel._cli.output import say, say_json_line, say_wrapped, whole
from flask_chest_otel._cli.request_table import COLUMNS, RequestTable
from flask_chest_otel._cli.source import open_store, path_of_store
from flask_chest_otel._store.arrivals import MOST_REMEMBERED
from flask_chest_otel.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from flask_chest_otel._store.answers import StoredRequest
    from flask_chest_otel._store.wanted import Wanted

__all__ = ["command"]

LOOK_EVERY_S = 0.5
"""Time between two looks for new requests, seconds."""

AT_ONCE = 1000
"""How many requests are read at a time for --json, at most."""

EXAMPLES = """\b
Examples:
  flask chest requests --status 5xx --since 1h
  flask chest requests --error PaymentError --since yesterday --until today
  flask chest requests --var user_id=u1 --var cart_total --slower 200
  flask chest requests --columns time,status,id,path,user_id
  flask chest requests --follow --path '/cart/*'
  flask chest requests --store instance/flask_chest.sqlite3 --json
"""


def _columns(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    return tuple(name for part in (text or "").split(",") if (name := part.strip()))


@click.command(name="requests", epilog=EXAMPLES, short_help="The last requests, with ids and variables.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many requests, at most."
)
@filters(
    *("since", "until", "route", "method", "path", "status", "error", "slower"),
    *("version", "service", "variables", "request_id"),
)
@click.option(
    "--columns",
    callback=_columns,
    metavar="NAMES",
    help=f"Other columns, with commas: time, id, {', '.join(COLUMNS)}, or a variable.",
)
@click.option("--follow", is_flag=True, help="Go on with new requests, until Ctrl+C.")
@options.store_option
@options.json_option
def command(
    *,
    wanted: Wanted,
    limit: int,
    columns: tuple[str, ...],
    follow: bool,
    utc: bool,
    store: Path | None,
    as_json: bool,
) -> None:
    """Show the last requests, the newest at the end, with their tracked variables.

    An id is shown as far as it is unique in the table: flask chest show ID takes that much. With --json, each request
    is one line of JSON, with everything but child spans and log lines.
    """
    table = RequestTable(columns, utc=utc, with_errors=follow)
    if follow:
        with suppress(KeyboardInterrupt):
            for found in _new(wanted, limit, path_of_store(store)):
                _say(found, table, as_json=as_json)
        return
    if as_json:
        any_found = _say_parts(wanted, limit, path_of_store(store))
    else:
        with open_store(store) as reader:
            requests = reader.requests(wanted, limit)
        _say(requests, table, as_json=False)
        for name in table.missing(requests):
            guess = nearest(name, [*COLUMNS, "time", "id", *(known for one in requests for known in one.variables)])
            hint = f"did you mean {guess}?" if guess else "--help lists columns"
            say(f"{whole(name)} is no column, and no variable of these requests: {hint}", to_stderr=True)
        any_found = bool(requests)
    if not any_found:
        with open_store(store) as reader:
            why = why_nothing(reader, wanted, utc=utc)
        say_wrapped(f"No request in the store is like that.{why}", to_stderr=True)


def _say(found: Sequence[StoredRequest], table: RequestTable, *, as_json: bool) -> None:
    if as_json:
        for one in found:
            say_json_line(request_object(one))
    elif found:
        table.say(found)


def _say_parts(wanted: Wanted, limit: int, store: Path) -> bool:
    """Print requests as JSON, and close the store between parts.

    An open reader that waits for a slow pipe would keep SQLite from shrinking the store's write-ahead log.
    """
    with open_store(store) as reader:
        key = reader.first_key(wanted, limit)
    left, any_found = limit, key is not None
    while key is not None and left > 0:
        with open_store(store) as reader:
            part = reader.requests_from(wanted, key, AT_ONCE + 1)
        for one in part[: min(left, AT_ONCE)]:
            say_json_line(request_object(one))
        left -= AT_ONCE
        key = part[AT_ONCE].key if len(part) > AT_ONCE else None
    return any_found


def _new(wanted: Wanted, limit: int, store: Path) -> Iterator[list[StoredRequest]]:
    """Yield the last requests, then at each look those that have come since, in the order in which they came.

    The store may be replaced, deleted or locked meanwhile: that is said, and the next looks go on.

    Raises:
        ClickException: It cannot be read at the first look.
    """
    with open_store(store) as reader:
        found, after = reader.requests(wanted, limit), reader.last_arrived()
    yield found
    said = ""
    while True:
        time.sleep(LOOK_EVERY_S)
        try:
            with open_store(store) as reader:
                found, after = reader.arrived(wanted, after, MOST_REMEMBERED), reader.last_arrived()
        except click.ClickException as error:
            if error.message != said:
                say_wrapped(f"Waiting: {error.message}", to_stderr=True)
            found, said = [], error.message
        else:
            said = ""
        yield found
