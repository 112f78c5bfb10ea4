"""Where a command's answers come from: a file that was named, or the application and its store."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from flask.cli import NoAppException, ScriptInfo

from flask_chest_otel._base.sqlite import is_broken, is_locked
from flask_chest_otel._cli.output import say
from flask_chest_otel._lifecycle.state import state_of
from flask_chest_otel._store.reader import StoreReadError, read_store
from flask_chest_otel._store.store import store_path as place_of_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask

    from flask_chest_otel._store.reader import StoreReader

__all__ = ["app_here", "app_if_any", "open_store", "path_of_store", "request_id_secret", "store_path"]

SECRET_VARIABLE = "FLASK_CHEST_REQUEST_ID_SECRET"  # noqa: S105 - a name, not the secret


@contextmanager
def open_store(given: Path | None) -> Iterator[StoreReader]:
    """The store at ``given``, else the application's; what is wrong with it ends the command with exit code 1."""
    try:
        with read_store(path_of_store(given)) as reader:
            yield reader
    except StoreReadError as error:
        raise click.ClickException(f"{error}{_what_to_do(error)}") from error


def path_of_store(given: Path | None) -> Path:
    """The store at ``given``, else the application's."""
    return given if given is not None else _current_store(_app())


def _what_to_do(error: StoreReadError) -> str:
    """What to type where SQLite has only said what is wrong."""
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
    """The application's store; where nothing new comes into it, that is said."""
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
    """Where an application keeps its store."""
    state = state_of(app)
    return place_of_store(app.instance_path, state.config.store_path if state is not None else None)


def app_if_any() -> Flask | None:
    """The application, or ``None`` when none was named and none lies around.

    Raises:
        NoAppException: One was named, and it cannot be loaded.
    """
    try:
        return app_here()
    except NoAppException:
        if _script().app_import_path is not None:
            raise
        return None


def request_id_secret(app: Flask | None) -> str | None:
    """The key of the mapping: the application's, else the environment's."""
    state = state_of(app) if app is not None else None
    if state is not None:
        secret: str | None = state.config.request_id_secret
        return secret
    text = os.environ.get(SECRET_VARIABLE, "")
    return text if text and text.strip().lower() != "none" else None


def app_here() -> Flask:
    """The application.

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
