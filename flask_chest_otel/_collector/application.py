"""Reads from an application what the collector's configuration needs: its variables and its routes' destinations."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask_chest_otel._guard import Log, printable
from flask_chest_otel._tracking.definitions import Definitions
from flask_chest_otel._tracking.marks import every_mark, marks_of
from flask_chest_otel._values.redaction import redactor
from flask_chest_otel.config import resolve
from flask_chest_otel.config.tracked_vars import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flask import Flask

    from flask_chest_otel._tracking.plan import RouteMark
    from flask_chest_otel.config import ChestConfig
    from flask_chest_otel.config.tracked_vars import TrackedVars
    from flask_chest_otel.errors import ChestConfigError
    from flask_chest_otel.tracked import TrackedVar

__all__ = ["Application", "RouteChests", "Variable", "look_at"]

_logger = Log("flask_chest_otel")


@dataclass(frozen=True, slots=True, order=True)
class Variable:
    """A tracked variable under the names that it has in exported data.

    Attributes:
        name: Its name on ``g``.
        attribute: Name of its span attribute.
        metric: Name of its metric; ``None`` where it has none.
        dimension: Whether it is an attribute of other variables' metrics.
        with_dimensions: Names of the attributes that its metric may have because of dimensions.
    """

    name: str
    attribute: str
    metric: str | None
    dimension: bool
    with_dimensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class RouteChests:
    """The destinations of one route.

    Attributes:
        route: The URL rule.
        method: The HTTP method; ``None`` where all methods of the route have the same destinations.
        chests: Names of the destinations, sorted, with commas.
    """

    route: str
    method: str | None
    chests: str


@dataclass(frozen=True, slots=True)
class Application:
    """What is known of an application.

    Attributes:
        name: The application's name.
        variables: All tracked variables.
        routes: Routes that name their destinations.
        everything: Whether some route tracks all names (``"*"``), which only the requests show.
        targets: Names in ``chests=`` of the extension and its routes, without direct chests.
    """

    name: str
    variables: tuple[Variable, ...]
    routes: tuple[RouteChests, ...]
    everything: bool
    targets: tuple[str, ...]


def look_at(app: Flask | None, config: ChestConfig | None) -> Application | None:
    """Read an application's tracked variables and destinations.

    An application that is recorded without code has the settings of the instrumentor. Where the instrumentor does not
    run in this process, the settings of the environment are used.

    Args:
        app: The application; ``None`` where none is loaded.
        config: Its settings; ``None`` where nothing records it in this process.

    Returns:
        What was found; ``None`` where the application tracks nothing and nothing records it.
    """
    if app is None:
        return None
    recorded = config is not None
    if config is None:
        config = resolve({}, {}, os.environ, on_malformed=_say)
    sources = list(_sources(app, config))
    if not recorded and all(source == NOTHING for source in sources) and not list(_routes(app)):
        return None
    definitions = Definitions()
    for source in sources:
        definitions.learn(source.every_var())
    groups = [tuple(map(definitions.of, group)) for group in _groups(app, config)]
    routes = tuple(sorted(_routes(app)))
    return Application(
        app.name,
        tuple(sorted(_variables(groups, config))),
        routes,
        any(source.everything_for is None or bool(source.everything_for) for source in sources),
        tuple(sorted(_targets(routes, config))),
    )


def _say(error: ChestConfigError) -> None:
    _logger.warning("%s; its default is used", printable(str(error)))


def _sources(app: Flask, config: ChestConfig) -> Iterator[TrackedVars]:
    yield config.tracked_vars
    for view in app.view_functions.values():
        yield from (mark.tracked_vars for mark in every_mark(view))


def _groups(app: Flask, config: ChestConfig) -> Iterator[tuple[TrackedVar, ...]]:
    """Yield the sets of variables that one request may have: the application's alone, and with those of each route."""
    common = config.tracked_vars.every_var()
    yield common
    for view in app.view_functions.values():
        marks = every_mark(view)
        own = tuple(var for mark in marks for var in mark.tracked_vars.every_var())
        if own:
            yield (*common, *own) if all(mark.inherit for mark in marks) else own


def _variables(groups: Iterable[tuple[TrackedVar, ...]], config: ChestConfig) -> Iterator[Variable]:
    dimensions: dict[tuple[str, str, str | None, bool], set[str]] = {}
    for group in groups:
        of_group = {_attribute(var, config) for var in group if var.dimension}
        for var in group:
            attribute = _attribute(var, config)
            # The SDK writes metric names in lower case. A masked value is a text, so it has no metric.
            masked = not callable(var.redact) and redactor(var.name, var.redact, None) is not None
            metric = (var.metric_name or attribute).lower() if var.kind is not None and not masked else None
            dimensions.setdefault((var.name, attribute, metric, var.dimension), set()).update(of_group)
    for (name, attribute, metric, dimension), found in dimensions.items():
        yield Variable(name, attribute, metric, dimension, tuple(sorted(found)) if metric is not None else ())


def _attribute(var: TrackedVar, config: ChestConfig) -> str:
    return var.attribute or config.attribute_prefix + var.name


def _routes(app: Flask) -> Iterator[RouteChests]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        methods = sorted(rule.methods or ())
        named = {method: _chests(marks_of(view, method)) for method in methods}
        if len(set(named.values())) == 1:
            methods, named = [""], {"": next(iter(named.values()))}
        for method in methods:
            chests = named[method]
            if chests is not None:
                yield RouteChests(rule.rule, method or None, ",".join(sorted(set(chests))))


def _targets(routes: Iterable[RouteChests], config: ChestConfig) -> set[str]:
    direct = {chest.name for chest in config.chests if not isinstance(chest, str)}
    named = {chest for chest in config.chests if isinstance(chest, str)}
    return (named | {name for route in routes for name in route.chests.split(",") if name}) - direct


def _chests(marks: tuple[RouteMark, ...]) -> tuple[str, ...] | None:
    return next((mark.chests for mark in reversed(marks) if mark.chests is not None), None)
