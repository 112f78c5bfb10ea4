"""Checks the marks of routes: problems are raised when a route is registered, else logged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._guard import Refusal, count_refusal
from flask_chest_otel._tracking.marks import every_mark
from flask_chest_otel.errors import ChestConfigError, UnknownChestError, nearest
from flask_chest_otel.names import LOG_FIELDS
from flask_chest_otel.slo import covers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flask import Flask

    from flask_chest_otel._tracking.plan import Planner
    from flask_chest_otel.config.tracked_vars import TrackedVars
    from flask_chest_otel.slo import SLO

__all__ = ["check_route", "note_unmatched", "note_unusable", "unknown_log_fields", "unknown_variables"]


def check_route(planner: Planner, endpoint: str | None, view: object) -> None:
    """Check the marks of one view.

    Raises:
        ChestConfigError: A mark cannot be used; the error names the route.
        UnknownChestError: A mark names a chest that the application does not have.
    """
    marks = every_mark(view)
    if not marks:
        return
    try:
        planner.check(marks)
    except ChestConfigError as error:
        error.route = _name_of(endpoint, view)
        raise


def note_unusable(planner: Planner, app: Flask, fields: Iterable[str], tracked: TrackedVars) -> None:
    """Log marks that cannot be used and were not checked when their route was registered.

    That check does not happen without code in the application, with ``@app.endpoint``, and for marks above
    ``@app.route``. Also log fields that nobody fills: variables are known when all routes are registered.
    """
    _noted(planner.check, ())
    for endpoint, view in app.view_functions.items():
        _noted(check_route, planner, endpoint, view)
    for problem in unknown_log_fields(fields, tracked, app):
        _noted(_refuse, problem)


def note_unmatched(slos: Iterable[SLO], tracked: TrackedVars, app: Flask) -> None:
    """Log the objectives that name a route, a method or a variable that the application does not have."""
    slos = tuple(slos)
    for slo in slos:
        _noted(_check_routes, slo, app)
    for problem in unknown_variables(slos, tracked, app):
        _noted(_refuse, problem)


def unknown_variables(slos: Iterable[SLO], tracked: TrackedVars, app: Flask) -> list[ChestConfigError]:
    """The errors about variables that objectives name and that no route of the application tracks."""
    names = _tracked_names(tracked, app)
    if names is None:
        return []
    return [_unknown(slo, name, names) for slo in slos for name in sorted(_variables_of(slo) - names)]


def unknown_log_fields(fields: Iterable[str], tracked: TrackedVars, app: Flask) -> list[ChestConfigError]:
    """The errors about log fields that are neither an id nor a variable that some route tracks."""
    names = _tracked_names(tracked, app)
    if names is None:
        return []
    return [_unknown_field(name, names) for name in fields if name not in names and name not in LOG_FIELDS]


def _tracked_names(tracked: TrackedVars, app: Flask) -> set[str] | None:
    """The variables that routes of the application track; ``None``: all variables are tracked."""
    sources = [tracked, *(mark.tracked_vars for view in app.view_functions.values() for mark in every_mark(view))]
    if any(source.everything_for != frozenset() for source in sources):
        return None
    return {var.name for source in sources for var in source.every_var()}


def _unknown_field(name: str, names: set[str]) -> ChestConfigError:
    known = [*LOG_FIELDS, *sorted(names)]
    guess = nearest(name, known)
    hint = f"did you mean {guess!r}?" if guess else f"type tracked_vars=[{name!r}]"
    return ChestConfigError(
        "log_fields", name, f"an id or a variable that some route tracks: {', '.join(known)} ({hint})"
    )


def _variables_of(slo: SLO) -> set[str]:
    return {*(slo.bad_when or ()), *([slo.by] if slo.by is not None else ())}


def _check_routes(slo: SLO, app: Flask) -> None:
    rules = [(rule.rule, rule.methods or set()) for rule in app.url_map.iter_rules()]
    for pattern in slo.routes:
        methods = {method for rule, methods in rules if covers(pattern, rule) for method in methods}
        if not methods and "socketio" in app.extensions:
            continue  # an event of Flask-SocketIO's, perhaps, which is no rule
        if pattern != "*" and not methods:
            guess = nearest(pattern, (rule for rule, _ in rules))
            hint = f" (did you mean {guess!r}?)" if guess else ""
            raise ChestConfigError(f"SLO({slo.name!r}, routes)", pattern, f"a URL rule that the application has{hint}")
        if slo.methods and methods.isdisjoint(slo.methods) and pattern != "*":
            raise ChestConfigError(
                f"SLO({slo.name!r}, methods)", slo.methods, f"one that {pattern} takes: {', '.join(sorted(methods))}"
            )


def _unknown(slo: SLO, name: str, names: set[str]) -> ChestConfigError:
    guess = nearest(name, names)
    hint = f"did you mean {guess!r}?" if guess else f"type tracked_vars=[{name!r}]"
    field = "by" if name == slo.by else "bad_when"
    return ChestConfigError(f"SLO({slo.name!r}, {field})", name, f"a variable that some route tracks ({hint})")


def _refuse(problem: ChestConfigError) -> None:
    raise problem


def _noted(check: Callable[..., None], *args: object) -> None:
    try:
        check(*args)
    except UnknownChestError as error:
        count_refusal(Refusal.CHEST, str(error), "%s; requests are served all the same", error)
    except ChestConfigError as error:
        count_refusal(Refusal.SETTING, str(error), "%s; requests are served all the same", error)


def _name_of(endpoint: str | None, view: object) -> str:
    function = getattr(view, "view_class", view)
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{endpoint or getattr(view, '__name__', name)!r}, {function.__module__}.{name}"
