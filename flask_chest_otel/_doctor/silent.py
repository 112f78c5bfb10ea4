"""Checks of decorators and tracked names that raise no error and yet record nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._collector.application import look_at
from flask_chest_otel._doctor import dimensions
from flask_chest_otel._doctor.part import Part, Row
from flask_chest_otel._lifecycle.state import config_of
from flask_chest_otel._store.opening import StoreReadError
from flask_chest_otel._store.reader import read_store
from flask_chest_otel._store.wanted import Wanted
from flask_chest_otel._tracking.marks import every_mark, marked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask

    from flask_chest_otel._lifecycle.state import ChestState
    from flask_chest_otel._tracking.plan import RouteMark

__all__ = ["part"]


def part(app: Flask, state: ChestState | None, store: Path | None) -> Part:
    """List decorators and tracked names that record nothing. These are hints, not problems: they may be intended.

    Args:
        app: The application.
        state: The application's state; ``None`` where it has no FlaskChest.
        store: File of its embedded store; ``None`` where it has none.
    """
    found = Part("silent", ("SILENT", "WHAT", "TYPE"))
    of_routes = [mark for view in app.view_functions.values() for mark in every_mark(view)]
    for name, marks in marked():
        if not any(mark is other for mark in marks for other in of_routes):
            found.rows.append(Row(name, "no route of this application has it", "@app.route above its decorators"))
    if state is None:
        return found
    for endpoint, view in sorted(app.view_functions.items()):
        marks = every_mark(view)
        if marks and not state.config.tracked_vars and all(map(_says_nothing, marks)):
            found.rows.append(
                Row(endpoint, "@flask_chest tracks nothing here", '@flask_chest("name"), or tracked_vars=')
            )
    found.rows += [
        Row(f"g.{name}", "no request in the store has had it", "the name as the view writes it on g")
        for name in _never_met(app, store)
    ]
    found.rows += dimensions.rows(app, state, store)
    return found


def _says_nothing(mark: RouteMark) -> bool:
    return not (mark.tracked_vars or mark.request_id_generator or mark.chests is not None or mark.counts)


def _never_met(app: Flask, store: Path | None) -> Iterator[str]:
    """Yield tracked names that no stored request has; nothing where the store has no requests."""
    application = look_at(app, config_of(app))
    if application is None or store is None or not store.is_file():
        return
    try:
        with read_store(store) as reader:
            if reader.requests(Wanted(service=app.name), 1):
                names = dict.fromkeys(variable.name for variable in application.variables)
                yield from [name for name in names if not reader.has_variable(app.name, name)]
    except StoreReadError:
        return  # `inspect_storage` reports it
