"""``flask chest requests``: the last requests with their variables and ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flask_chest_otel._cli import options
from flask_chest_otel._cli.output import number, safe, say, say_json, say_table
from flask_chest_otel._cli.source import open_store
from flask_chest_otel._store.reader import Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from flask_chest_otel._store.reader import StoredRequest

__all__ = ["command"]

IN_JSON = (
    "time",
    "request_id",
    "trace_id",
    "span_id",
    "service",
    "method",
    "route",
    "status",
    "duration_ms",
    "variables",
)

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
@options.route_option
@options.method_option
@options.service_option
@options.status_option
@options.variable_option
@click.option("--request-id", metavar="ID", help="Only requests with this id.")
@options.since_option
@options.store_option
@options.json_option
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
        route=options.route_of(route),
        method=method,
        service=service,
        status=status,
        request_id=request_id,
        variables=variables,
    )
    with open_store(store) as reader:
        found = reader.requests(wanted, limit)
    if as_json:
        say_json([{name: getattr(request, name) for name in IN_JSON} for request in found])
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
