"""``flask chest show``: shows everything about one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._base.text import shown_value
from flask_chest_otel._cli import options, times
from flask_chest_otel._cli.as_json import details_object, request_object
from flask_chest_otel._cli.output import (
    ERROR,
    HEAD,
    WARNING,
    milliseconds,
    safe,
    say,
    say_json,
    say_wrapped,
    whole,
)
from flask_chest_otel._cli.request_table import RequestTable
from flask_chest_otel._cli.source import open_store
from flask_chest_otel._cli.span_tree import say_tree
from flask_chest_otel._store.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from flask_chest_otel._cli.output import Style
    from flask_chest_otel._records.record import LogLine, RequestError
    from flask_chest_otel._store.answers import RequestDetails, StoredRequest
    from flask_chest_otel._store.reader import StoreReader

__all__ = ["command"]

MATCHES = 20
"""How many requests are listed at most where several have the id."""

NEIGHBOURS = 10
"""How many other requests with the same value are shown."""

LEVELS: Mapping[str, Style] = {"ERROR": ERROR, "CRITICAL": ERROR, "WARNING": WARNING}

EXAMPLES = """\b
Examples:
  flask chest show order-4711
  flask chest show ab0ab2cf
  flask chest show order-4711 --by user_id
  flask chest show order-4711 --store instance/flask_chest.sqlite3 --json
"""


@click.command(name="show", epilog=EXAMPLES, short_help="Everything about one request.")
@click.argument("identity", metavar="ID")
@click.option("--by", metavar="VARIABLE", help="Also the last requests that had the same value of this variable.")
@times.utc_option
@options.store_option
@options.json_option
def command(*, identity: str, by: str | None, utc: bool, store: Path | None, as_json: bool) -> None:
    """Show everything that is known of one request: times, variables, error, child spans, log lines.

    ID is a request id, a trace id, a key, or the beginning of one. Where several requests have it, they are listed, and
    the exit status is 1.
    """
    if not identity:
        raise click.BadParameter("an empty id identifies nothing: type one", param_hint="ID")
    with open_store(store) as reader:
        found = reader.request(identity, MATCHES)
        if len(found) != 1:
            _say_which(identity, [one.request for one in found], utc=utc, as_json=as_json)
        (one,) = found
        neighbours = _neighbours(reader, one.request, by)
    if as_json:
        extra = {} if neighbours is None else {"neighbours": list(map(request_object, neighbours))}
        say_json({**details_object(one), **extra})
    else:
        _say(one, utc=utc)
        if neighbours is not None:
            _say_neighbours(one.request, str(by), neighbours, utc=utc)


def _say_which(identity: str, found: list[StoredRequest], *, utc: bool, as_json: bool) -> None:
    """End the command where no request has an id, or where several have it, which are listed.

    Raises:
        ClickException: Always.
    """
    if not found:
        raise click.ClickException(
            f"no request in the store has the id {identity}, nor one that begins so: flask chest requests lists them"
        )
    if as_json:
        say_json([request_object(one) for one in found])
    else:
        # Requests of the same id may have the same trace id, or none; their keys always differ.
        other = "trace" if len({one.trace_id for one in found} - {None}) == len(found) else "key"
        RequestTable(("time", "status", "ms", "id", other, "request"), utc=utc).say(found)
    more = " or more" if len(found) == MATCHES else ""
    raise click.ClickException(f"{len(found)}{more} requests have this id, or begin with it: type more of one")


def _neighbours(reader: StoreReader, one: StoredRequest, by: str | None) -> list[StoredRequest] | None:
    if by is None:
        return None
    if by not in one.variables:
        had = ", ".join(map(safe, one.variables)) or "none"
        raise click.BadParameter(f"this request recorded no {by}; it has: {had}", param_hint="--by")
    value = one.variables[by]
    text = value if isinstance(value, str) else whole(value)
    found = reader.requests(Wanted(service=one.service, variables=((by, text),)), NEIGHBOURS + 1)
    return [other for other in found if other.key != one.key][-NEIGHBOURS:]


def _say(found: RequestDetails, *, utc: bool) -> None:
    one = found.request
    head = (
        f"{whole(one.method)} {whole(one.route or one.path or None)}  {one.status}  {milliseconds(one.duration_ms)} ms"
    )
    say_wrapped(head, style={**HEAD, **(ERROR if one.status >= SERVER_ERROR else {})})
    say("")
    _say_pairs(_known(one, utc=utc))
    if one.variables or one.refused:
        say("")
        say_wrapped("VARIABLES", style=HEAD)
        refused = {name: f"not recorded: {whole(reason)}" for name, reason in (one.refused or {}).items()}
        _say_pairs({**{name: whole(shown_value(value)) for name, value in one.variables.items()}, **refused})
    if one.error is not None:
        _say_error(one.error)
    _say_spans(found)
    _say_logs(one, found.logs, utc=utc)


def _known(one: StoredRequest, *, utc: bool) -> dict[str, str]:
    timings = (
        f"{kind}: {count} in {milliseconds(took_ms)} ms" for kind, (count, took_ms) in one.timings.items() if count
    )
    first_byte = "" if one.first_byte_ms is None else f"{milliseconds(one.first_byte_ms)} ms"
    found = {
        "started": times.full(one.time, utc=utc),
        "service": " ".join(filter(None, (one.service, one.version))),
        "path": one.path,
        "request id": one.request_id,
        "trace id": one.trace_id if one.trace_id != one.request_id else "the same",
        "span id": one.span_id,
        "first byte": first_byte,
        "cpu time": "" if one.cpu_ms is None else f"{milliseconds(one.cpu_ms)} ms",
        "child spans": ", ".join(timings),
    }
    return {name: whole(value) for name, value in found.items() if value}


def _say_pairs(pairs: Mapping[str, str]) -> None:
    width = max((len(safe(name)) for name in pairs), default=0)
    for name, value in pairs.items():
        say_wrapped(f"{safe(name):{width}}  {value}")


def _say_error(error: RequestError) -> None:
    say("")
    said = f": {whole(error.message)}" if error.message else ""
    say_wrapped(f"ERROR  {whole(error.type)}{said}", style=ERROR)
    how = "answered by an error handler" if error.handled else "not handled"
    say_wrapped(f"at {whole(error.place)}, {how}" if error.place else how)
    if error.stack:
        say("")
        say_wrapped(error.stack.rstrip("\n"), indent="  ")


def _say_spans(found: RequestDetails) -> None:
    one = found.request
    if found.spans:
        say("")
        say_tree(found.spans, one)
    if one.spans_dropped:
        say(f"{one.spans_dropped} more child spans were not kept: the quickest, or all, as store_spans says.")
    if one.spans_complete is False:
        say("Child spans could not be seen: this trace was sampled out.")


def _say_logs(one: StoredRequest, lines: tuple[LogLine, ...], *, utc: bool) -> None:
    if lines:
        say("")
        say_wrapped("LOG", style=HEAD)
    for line, clock in zip(lines, _clocks(lines, utc=utc), strict=True):
        # Further lines of a message are indented: none of them can look like a line of the log.
        first, *further = map(whole, line.message.split("\n"))
        text = "\n  ".join([f"{clock} {whole(line.level)} {whole(line.logger)}: {first}", *further])
        say_wrapped(text, style=LEVELS.get(line.level))
    if one.logs_dropped:
        say(f"{one.logs_dropped} more lines were not kept.")


def _clocks(lines: tuple[LogLine, ...], *, utc: bool) -> Iterator[str]:
    for line in lines:
        _, clock, _ = times.full(times.stored(line.time_unix_ns), utc=utc).split(" ")
        yield clock


def _say_neighbours(one: StoredRequest, by: str, found: list[StoredRequest], *, utc: bool) -> None:
    say("")
    if not found:
        say_wrapped(f"No other request has {by}={whole(shown_value(one.variables[by]))}.")
        return
    say_wrapped(f"OTHERS WITH {by}={whole(shown_value(one.variables[by]))}", style=HEAD)
    RequestTable(utc=utc).say(found)
