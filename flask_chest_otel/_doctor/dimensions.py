"""Checks of tracked variables that are dimensions: metrics that do not get them, and metrics with too many series."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._collector.application import look_at
from flask_chest_otel._doctor.part import Row
from flask_chest_otel._server_span.upstream import is_instrumented_by_upstream
from flask_chest_otel._store.opening import StoreReadError
from flask_chest_otel._store.reader import read_store
from flask_chest_otel._store.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask

    from flask_chest_otel._lifecycle.state import ChestState
    from flask_chest_otel._store.reader import StoreReader

__all__ = ["rows"]

DURATION = "http.server.request.duration"
NEAR = 0.8
"""Share of ``cardinality_limit`` from which the doctor mentions an instrument."""

LOOKED_AT = 20_000
"""How many of the newest stored requests are counted, at most."""


def rows(app: Flask, state: ChestState, store: Path | None) -> Iterator[Row]:
    """Yield a row for each problem with the dimensions of an application.

    Args:
        app: The application.
        state: The application's state.
        store: File of its embedded store; ``None`` where it has none.
    """
    application = look_at(app, state.config)
    variables = application.variables if application is not None else ()
    names = sorted({variable.name for variable in variables if variable.dimension})
    if not names:
        return
    if is_instrumented_by_upstream(app):
        why = "upstream takes the attributes of that metric when a request begins"
        yield from [Row(f"g.{name}", f"not on {DURATION}: {why}", 'server_span="chest"') for name in names]
    measured = {variable.name: variable.metric for variable in variables if variable.metric is not None}
    limit = state.config.cardinality_limit
    for metric, sets in _sets(app, store, names, measured):
        if sets >= NEAR * limit:
            yield Row(metric, f"{sets} attribute sets in the store, of {limit}", f"{', '.join(names)} as no dimension")


def _sets(app: Flask, store: Path | None, names: list[str], measured: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Yield each metric with the number of attribute sets that the stored requests make in one process."""
    if store is None or not store.is_file():
        return
    try:
        with read_store(store) as reader:
            found = _found(reader, reader.newest(Wanted(service=app.name), LOOKED_AT), names, measured)
    except StoreReadError:
        return  # `inspect_storage` reports it
    yield from sorted((metric, len(sets)) for metric, sets in found.items())


def _found(
    reader: StoreReader, wanted: Wanted, names: list[str], measured: dict[str, str]
) -> dict[str, set[tuple[object, ...]]]:
    dimensions: dict[str, list[tuple[str, str]]] = {}
    metrics: dict[str, list[str]] = {}
    for fact in reader.variable_facts(wanted, [*names, *measured]):
        if fact.name in names:
            dimensions.setdefault(fact.key, []).append((fact.name, fact.text))
        if fact.name in measured:
            metrics.setdefault(fact.key, []).append(measured[fact.name])
    found: dict[str, set[tuple[object, ...]]] = {DURATION: set()}
    for one in reader.facts(wanted):
        place = one.route, one.method, *dimensions.get(one.key, ())
        found[DURATION].add((one.status, one.error_type, *place))
        for metric in metrics.get(one.key, ()):
            found.setdefault(metric, set()).add(place)
    return found
