"""A blueprint with the pages over the embedded store, for use inside an application."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flask import Blueprint, abort, current_app

from flask_chest_otel._guard import report_error
from flask_chest_otel._lifecycle.state import config_of, state_of
from flask_chest_otel._store.store import STORE_FILENAME
from flask_chest_otel._viewer.door import harden
from flask_chest_otel._viewer.links import check_links
from flask_chest_otel._viewer.objectives import Promised
from flask_chest_otel._viewer.pages import Source, make_blueprint
from flask_chest_otel.errors import ChestSetupError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

__all__ = ["blueprint"]


def blueprint(
    *,
    allow: Callable[[], object],
    store: str | os.PathLike[str] | None = None,
    open_in: Mapping[str, str] | None = None,
) -> Blueprint:
    """Make a blueprint with the pages of ``flask chest serve``; register it at any prefix.

    The pages show the records of requests: paths, ids, variables, exceptions with their stack traces. Admit only users
    who may see these::

        app.register_blueprint(viewer.blueprint(allow=lambda: current_user.is_admin), url_prefix="/chest")

    Requests to these pages are recorded like other requests of the application. To leave them out, give the extension
    ``excluded_urls=["^/chest"]``.

    Args:
        allow: Called without arguments in each request to these pages. Where it returns a true value, the page is
            shown; else the response is 403. Where it raises, the response is 403 as well, and the error is logged once.
        store: The file of the store; by default that of the application on which the blueprint is registered.
        open_in: Name of another program to the template of its address, such as
            ``{"Jaeger": "http://127.0.0.1:16686/trace/{trace_id}"}``; ``{span_id}``, ``{request_id}`` and
            ``{service}`` are replaced as well.

    Raises:
        ChestSetupError: ``allow`` cannot be called.
        ChestConfigError: A template of ``open_in`` cannot be used.
    """
    if not callable(allow):
        raise ChestSetupError(
            f"viewer.blueprint(allow={allow!r}) would not know whom to let in: give a function that returns whether the"
            " request that runs may see these pages, for example allow=lambda: current_user.is_admin"
        )
    path = None if store is None else Path(store)
    pages = make_blueprint(Source(lambda: path or _store_here(), check_links(open_in or {}), _promised_here))
    pages.before_request(lambda: _refuse_unless(allow))
    pages.after_request(harden)
    return pages


def _refuse_unless(allow: Callable[[], object]) -> None:
    allowed = False
    try:
        allowed = bool(allow())
    except Exception as error:  # noqa: BLE001 - the guard decides
        report_error("viewer allow", error)
    if not allowed:
        abort(403)


def _promised_here() -> Promised | None:
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # typed as a Flask
    config = config_of(app)
    return None if config is None else Promised(app.name, config.slos)


def _store_here() -> Path:
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # typed as a Flask
    state = state_of(app)
    found = getattr(state.export.store, "path", None) if state is not None else None
    return Path(found) if found is not None else Path(app.instance_path) / STORE_FILENAME
