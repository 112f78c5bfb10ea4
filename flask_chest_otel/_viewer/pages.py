"""The routes of the page: each reads the store once, and returns HTML or, with ``.json``, JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, render_template, request, stream_with_context

from flask_chest_otel._guard import lines
from flask_chest_otel._store.opening import StoreReadError
from flask_chest_otel._store.reader import read_store
from flask_chest_otel._viewer import comparing, looks
from flask_chest_otel._viewer.errors import errors_data
from flask_chest_otel._viewer.explaining import explain_data
from flask_chest_otel._viewer.filters import read_filter
from flask_chest_otel._viewer.links import filled
from flask_chest_otel._viewer.live import events
from flask_chest_otel._viewer.objectives import objectives_data
from flask_chest_otel._viewer.overview import overview_data
from flask_chest_otel._viewer.requests import neighbours, request_data, requests_data
from flask_chest_otel._viewer.variables import variable_data, variables_data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._viewer.filters import Filter
    from flask_chest_otel._viewer.objectives import Promised

__all__ = ["Source", "make_blueprint"]

FOUND_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Source:
    """Where the pages get their data from.

    Attributes:
        path: Returns the file of the store.
        open_in: Name of another program to the template of its address, in which ``{trace_id}``, ``{span_id}``,
            ``{request_id}`` and ``{service}`` are filled in.
        promised: Returns the objectives of the application; ``None`` without an application.
    """

    path: Callable[[], Path]
    open_in: Mapping[str, str] = field(default_factory=dict)
    promised: Callable[[], Promised | None] = lambda: None


def make_blueprint(source: Source) -> Blueprint:
    """Make the blueprint with all pages. It has no access control: the application that registers it decides."""
    pages = Blueprint(looks.NAME, __name__, template_folder="templates", static_folder="static")
    looks.register(pages)

    def page(rule: str, name: str, data: Callable[[StoreReader, Filter], dict[str, object]]) -> None:
        def html() -> str:
            given = read_filter(request.args)
            with read_store(source.path()) as reader:
                found = data(reader, given)
            return render_template(f"chest/{name}.html", given=given, page=name, **found)

        def as_json() -> Response:
            with read_store(source.path()) as reader:
                return _json(data(reader, read_filter(request.args)))

        pages.add_url_rule(rule, name, html)
        pages.add_url_rule(f"/{name}.json", f"{name}_json", as_json)

    page("/", "overview", overview_data)
    page("/requests", "requests", lambda reader, given: requests_data(reader, given, request.args.get("before", "")))
    page("/errors", "errors", errors_data)
    page("/variables", "variables", _variables)
    page("/compare", "compare", lambda reader, _given: comparing.compare_data(reader, request.args))
    page("/explain", "explain", explain_data)
    page("/objectives", "objectives", lambda reader, _given: objectives_data(reader, source.promised()))
    _add_request(pages, source)

    @pages.get("/live")
    def live() -> Response:
        """Stream new requests of a filter."""
        given = read_filter(request.args)
        columns = request.args.getlist("column")
        stream = events(
            source.path(),
            given,
            # A browser that connects again sends the id of the last event that it got.
            request.headers.get("Last-Event-ID") or request.args.get("after", ""),
            lambda row: render_template("chest/row.html", row=row, columns=columns),
        )
        return Response(stream_with_context(stream), mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})

    pages.register_error_handler(StoreReadError, _unreadable)
    return pages


def _variables(reader: StoreReader, given: Filter) -> dict[str, object]:
    name = request.args.get("name", "")
    found = variables_data(reader, given)
    return {**found, "one": variable_data(reader, given, name) if name else None}


def _add_request(pages: Blueprint, source: Source) -> None:
    def data(text: str) -> tuple[dict[str, object], Mapping[str, object]]:
        with read_store(source.path()) as reader:
            found = reader.request(text, FOUND_AT_MOST)
            if not found:
                abort(404)
            if len(found) > 1:
                return {"several": [looks.row_of(one.request) for one in found]}, {}
            shown = found[0].request
            by = request.args.get("by", "")
            beside = [looks.row_of(one) for one in neighbours(reader, shown, by)] if by else []
            links = {name: filled(template, shown) for name, template in source.open_in.items()}
            return {**request_data(found[0]), "by": by, "neighbours": beside}, {
                "links": links,
                "curl": looks.curl(shown),
            }

    @pages.get("/requests/<text>")
    def one(text: str) -> str:
        """Show everything about one request, or a list where several requests have this id."""
        found, more = data(text)
        name = "several" if "several" in found else "request"
        return render_template(
            f"chest/{name}.html", page="requests", given=read_filter(request.args), text=text, **found, **more
        )

    @pages.get("/requests/<text>.json")
    def one_json(text: str) -> Response:
        """Return the same as JSON."""
        return _json(data(text)[0])


def _json(found: object) -> Response:
    # A lone surrogate, which a client may have sent, cannot be encoded in UTF-8.
    text = json.dumps(found, ensure_ascii=False, default=_plain).encode(errors="replace")
    return Response(text + b"\n", mimetype="application/json")


def _plain(value: object) -> object:
    """Convert what ``json`` does not know: read-only mappings become dictionaries, everything else text."""
    return dict(value) if isinstance(value, Mapping) else str(value)


def _unreadable(error: StoreReadError) -> tuple[str, int]:
    return render_template("chest/unreadable.html", page="", given=read_filter({}), message=lines(str(error))), 503
