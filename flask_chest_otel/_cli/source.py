"""Finds the application, and the store that a command reads: a given file, or the application's."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from flask.cli import NoAppException, ScriptInfo

from flask_chest_otel._base.sqlite_errors import is_broken, is_locked
from flask_chest_otel._cli.output import say
from flask_chest_otel._lifecycle.state import state_of
from flask_chest_otel._store.opening import StoreReadError
from flask_chest_otel._store.reader import read_store
from flask_chest_otel._store.store import store_path as place_of_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask

    from flask_chest_otel._store.reader import StoreReader

__all__ = ["app_here", "app_if_any", "app_if_named", "open_store", "path_of_store", "request_id_secret", "store_path"]

SECRET_VARIABLE = "FLASK_CHEST_REQUEST_ID_SECRET"  # noqa: S105 - a name, not the secret


@contextmanager
def open_store(given: Path | None) -> Iterator[StoreReader]:
    """Open the store at ``given``, else the application's.

    Raises:
        ClickException: It cannot be read; the command ends with status 1.
    """
    try:
        with read_store(path_of_store(given)) as reader:
            yield reader
    except StoreReadError as error:
        raise click.ClickException(f"{error}{_what_to_do(error)}") from error


def path_of_store(given: Path | None) -> Path:
    """Return the path of the store: ``given``, else the application's."""
    return given if given is not None else _current_store(_app())


def _what_to_do(error: StoreReadError) -> str:
    """Return what to type where the message only quotes SQLite."""
    cause = error.__cause__
    if not isinstance(cause, sqlite3.Error):
        return ""
    if is_locked(cause):
        return ": another program keeps it for itself; try again, or copy the file and type --store COPY"
    if is_broken(cause):
        return (
            ": the application sets a damaged file aside and begins a new one; sqlite3 FILE .recover saves what is left"
        )
    return ""


def _current_store(app: Flask) -> Path:
    """Return the path of the application's store, and warn where it gets no new requests."""
    path = store_path(app)
    state = state_of(app)
    if state is None and not path.is_file():
        raise click.ClickException(
            f"there is no store at {path}: this application has no FlaskChest: type FlaskChest(app) where it is made; "
            "to read another file, type --store PATH"
        )
    instead = state.export.instead_of_store() if state is not None else None
    if state is not None and instead is not None:
        in_code = state.export.sources.get("export", "environment") != "environment"
        what_to_type = 'FlaskChest(app, export="store")' if in_code else "FLASK_CHEST_EXPORT=store"
        why = f"this application {instead}, and keeps no requests there; to keep them instead: {what_to_type}"
        if not path.is_file():
            raise click.ClickException(f"there is no store at {path}: {why}, or to read another file: --store PATH")
        say(f"Nothing new comes into {path}: {why}", to_stderr=True)
    return path


def store_path(app: Flask) -> Path:
    """Return the path of an application's store, which need not exist."""
    state = state_of(app)
    return place_of_store(app.instance_path, state.config.store_path if state is not None else None)


def app_if_any() -> Flask | None:
    """Return the application; ``None`` where none was named and Flask finds none.

    Raises:
        NoAppException: One was named and cannot be loaded.
    """
    try:
        return app_here()
    except NoAppException:
        if _script().app_import_path is not None:
            raise
        return None


def app_if_named() -> Flask | None:
    """The application, or ``None`` when none was named; one that cannot be loaded is none, and that is said."""
    script = _script()
    if script.app_import_path is None and script.create_app is None:
        return None
    try:
        return script.load_app()
    except NoAppException as error:
        say(f"Objectives are shown as they were counted, without their budgets: {error.message}", to_stderr=True)
        return None


def request_id_secret(app: Flask | None) -> str | None:
    """Return the secret by which request ids become trace ids: the application's, else the environment's."""
    state = state_of(app) if app is not None else None
    if state is not None:
        secret: str | None = state.config.request_id_secret
        return secret
    text = os.environ.get(SECRET_VARIABLE, "")
    return text if text and text.strip().lower() != "none" else None


def app_here() -> Flask:
    """Load and return the application.

    Raises:
        NoAppException: There is none, or it cannot be loaded.
    """
    return _script().load_app()


def _app() -> Flask:
    try:
        return app_here()
    except NoAppException as error:
        raise NoAppException(f"{error.format_message()}\nOr read a file without one: type --store PATH.") from error


def _script() -> ScriptInfo:
    return click.get_current_context().ensure_object(ScriptInfo)
