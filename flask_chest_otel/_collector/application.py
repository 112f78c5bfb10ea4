"""What the collector's configuration has to know of an application: its variables and its routes' destinations."""

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
    """A tracked variable as it stands on the wire.

    Attributes:
        name: Its name on ``g``.
        attribute: Its span attribute.
        metric: Its metric, or ``None``.
        dimension: Whether it is an attribute of other variables' metrics.
        with_dimensions: Attributes of the dimensions that may stand on its metric.
    """

    name: str
    attribute: str
    metric: str | None
    dimension: bool
    with_dimensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class RouteChests:
    """The destinations of one route; ``method`` is ``None`` where all methods have the same."""

    route: str
    method: str | None
    chests: str


@dataclass(frozen=True, slots=True)
class Application:
    """What there is to know.

    Attributes:
        name: The application's name.
        variables: All tracked variables.
        routes: Routes that name their destinations.
        everything: Whether some route tracks names that nobody knows beforehand (``"*"``).
        targets: What the extension and its routes name in ``chests=`` and is no direct chest.
    """

    name: str
    variables: tuple[Variable, ...]
    routes: tuple[RouteChests, ...]
    everything: bool
    targets: tuple[str, ...]


def look_at(app: Flask | None, config: ChestConfig | None) -> Application | None:
    """Read an application's tracked variables and destinations; ``None`` where nothing is known of any.

    One that is recorded without code has the instrumentor's settings, or, where that is not at work in this process,
    those of the environment.

    Args:
        app: The application.
        config: Its settings; ``None`` where nothing records it in this process.
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
    """Variables that may stand on one request together: the application's alone, and with each route's."""
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
            # The SDK writes metric names in lower case. What is masked is no number any more.
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
