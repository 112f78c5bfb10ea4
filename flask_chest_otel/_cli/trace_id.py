"""``flask chest trace-id``: prints the trace id of a request id, from the store or computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flask_chest_otel._cli import options
from flask_chest_otel._cli.output import safe, say, say_json
from flask_chest_otel._cli.source import app_if_any, open_store, request_id_secret, store_path
from flask_chest_otel._store.wanted import Wanted
from flask_chest_otel.ids import format_trace_id, legalise, map_request_id

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from flask_chest_otel._store.answers import StoredRequest

__all__ = ["command"]

SHOWN = 1000
"""How many requests of one id are shown at most: a client may always send the same id."""


EXAMPLES = """\b
Examples:
  flask chest trace-id r-17
  flask chest trace-id r-17 --store instance/flask_chest.sqlite3
"""


@click.command(name="trace-id", epilog=EXAMPLES, short_help="The trace id of a request id.")
@click.argument("request_id", metavar="ID")
@options.store_option
@options.json_option
def command(*, request_id: str, store: Path | None, as_json: bool) -> None:
    """Print the trace id of the request id ID.

    Looks in the store first ("recorded": all trace ids that this id had, with their times; also for an id that the
    chest made itself or whose trace began elsewhere). Else prints the trace id that the request id is mapped to
    ("mapped"), with the application's request_id_secret, or FLASK_CHEST_REQUEST_ID_SECRET without an application.
    """
    if not request_id:
        raise click.BadParameter("an empty id identifies nothing: type one", param_hint="ID")
    app = app_if_any() if store is None else None
    found = _recorded(request_id, _store_of(app, store))
    if found:
        _say_recorded(request_id, found, as_json=as_json)
    else:
        _say_mapped(request_id, app, as_json=as_json)


def _store_of(app: Flask | None, given: Path | None) -> Path | None:
    if given is not None or app is None:
        return given
    path = store_path(app)
    # An application that exports by OTLP has no store.
    return path if path.exists() else None


def _recorded(request_id: str, store: Path | None) -> list[StoredRequest]:
    if store is None:
        return []
    with open_store(store) as reader:
        found = reader.requests(Wanted(request_id=request_id), SHOWN)
    return [request for request in found if request.trace_id is not None]


def _say_recorded(request_id: str, found: list[StoredRequest], *, as_json: bool) -> None:
    if as_json:
        names = ("trace_id", "time", "method", "route", "status")
        traces = [{name: getattr(request, name) for name in names} for request in found]
        say_json({"request_id": request_id, "source": "recorded", "traces": traces})
        return
    for request in found:
        what = f"{safe(request.method)} {safe(request.route)} {request.status}"
        say(f"{safe(request.trace_id)}  recorded  {safe(request.time)}  {what}")


def _say_mapped(request_id: str, app: Flask | None, *, as_json: bool) -> None:
    trace_id = format_trace_id(map_request_id(legalise(request_id), request_id_secret(app)))
    if as_json:
        say_json({"request_id": request_id, "source": "mapped", "traces": [{"trace_id": trace_id}]})
    else:
        say(f"{trace_id}  mapped  not in a store: computed from the request id")
