"""``flask chest requests``: the last requests with their variables and ids."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from flask_chest_otel._cli import _options
from flask_chest_otel._cli._output import number, safe, say, say_json, say_table
from flask_chest_otel._cli._source import open_store
from flask_chest_otel.chests._reader import Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from flask_chest_otel.chests._reader import StoredRequest

__all__ = ["command"]

HEAD = ("METHOD", "ROUTE", "STATUS", "MS", "REQUEST ID", "TRACE ID", "VARIABLES")


EXAMPLES = """\b
Examples:
  flask chest requests --status 5xx --since 1h
  flask chest requests --var user_id=u1 --var cart_total
  flask chest requests --service shop --method post
  flask chest requests --store instance/flask_chest.sqlite3 --json
"""


@click.command(name="requests", epilog=EXAMPLES, short_help="The last requests, with ids and variables.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many requests, at most.")
@_options.route_option
@_options.method_option
@_options.service_option
@_options.status_option
@_options.variable_option
@click.option("--request-id", metavar="ID", help="Only requests with this id.")
@_options.since_option
@_options.store_option
@_options.json_option
def command(  # noqa: PLR0913 - one per option of the command
    *,
    limit: int,
    route: str | None,
    method: str | None,
    service: str | None,
    status: tuple[int, int] | None,
    variables: tuple[tuple[str, str | None], ...],
    request_id: str | None,
    since: int | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Show the last requests, the newest at the end, with their tracked variables.

    Applications that share an instance folder share a store: a column SERVICE tells them apart where there are several.
    """
    wanted = Wanted(
        since_unix_ns=since,
        route=_options.route_of(route),
        method=method,
        service=service,
        status=status,
        request_id=request_id,
        variables=variables,
    )
    with open_store(store) as reader:
        found = reader.requests(wanted, limit)
    if as_json:
        say_json([asdict(request) for request in found])
    elif found:
        several = len({request.service for request in found}) > 1
        head = ("TIME (UTC)", *["SERVICE"] * several, *HEAD)
        say_table(head, [_row(request, several=several) for request in found], right=(3 + several, 4 + several))
    else:
        say("No request in the store is like that.", to_stderr=True)


def _row(request: StoredRequest, *, several: bool) -> tuple[str, ...]:
    return (
        safe(request.time.replace("T", " ").rstrip("Z")),
        *[safe(request.service)] * several,
        safe(request.method),
        safe(request.route),
        str(request.status),
        number(request.duration_ms),
        safe(request.request_id),
        safe(request.trace_id),
        " ".join(f"{safe(name)}={safe(value)}" for name, value in request.variables.items()),
    )
