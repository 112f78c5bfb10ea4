"""``@flask_chest``, ``@count_requests``, ``@count_failures``: declare what one route tracks and counts.

The decorators set a mark on the function and return the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, overload

from flask_chest_otel._request.added_metrics import Dimensions, dimension_pairs, legal_name
from flask_chest_otel._tracking.marks import MARK, own_marks, remember
from flask_chest_otel._tracking.plan import Count, RouteMark
from flask_chest_otel._values.convert import Refused
from flask_chest_otel.config import check_chest_name
from flask_chest_otel.config.checks import NotAllowedError, callable_
from flask_chest_otel.config.tracked_vars import TrackedVars, parse_tracked_vars
from flask_chest_otel.errors import ChestConfigError, refuse_unknown
from flask_chest_otel.tracked import TrackedVar

__all__ = ["count_failures", "count_requests", "flask_chest"]

F = TypeVar("F", bound=Callable[..., object])
Tracked = str | TrackedVar | Iterable[str | TrackedVar] | Mapping[str, Iterable[str | TrackedVar]]


@overload
def flask_chest(view: F, /) -> F: ...


@overload
def flask_chest(
    *names: Tracked,
    tracked_vars: Tracked = ...,
    request_id_generator: Callable[[], object] | None = ...,
    chests: str | Iterable[str] | None = ...,
    inherit: bool = ...,
) -> Callable[[F], F]: ...


@refuse_unknown
def flask_chest(
    *names: object,
    tracked_vars: Tracked = (),
    request_id_generator: Callable[[], object] | None = None,
    chests: str | Iterable[str] | None = None,
    inherit: bool = True,
) -> Any:
    """Track variables of ``flask.g`` on one route.

    It decorates functions (plain, ``async``, generators), ``View`` and ``MethodView`` classes, their methods, and may
    stand in their ``decorators``. It may stand above or below ``@app.route``, and below other decorators that use
    ``functools.wraps``::

        @app.route("/cart", methods=["GET", "POST"])
        @flask_chest(tracked_vars={"GET": ["user_id"], "POST": ["user_id", "cart_total"]})
        def cart(): ...

    Args:
        *names: Variables, as the short form: ``@flask_chest("user_id", "cart_total")``.
        tracked_vars: Names, :class:`TrackedVar`, or a dict of lists by HTTP method (a method that is not listed tracks
            nothing, not even ``HEAD``); ``"*"`` tracks every public name in ``g`` (the first 1000 different ones),
            ``"*,-ledger"`` all except ``ledger``.
        request_id_generator: ``() -> str``; it replaces the application's generator on this route.
        chests: The destinations of this route's data: names of direct chests and of collector targets. Default: all.
        inherit: ``False``: track these variables instead of the application's, not in addition.

    Raises:
        ChestConfigError: An argument cannot be used.
    """
    if len(names) == 1 and _is_view(names[0]):
        return _mark(names[0], RouteMark())
    if request_id_generator is not None:
        _check_generator(request_id_generator)
    if not isinstance(inherit, bool):
        raise ChestConfigError("inherit", inherit, "True or False")
    mark = RouteMark(
        tracked_vars=_merged(names, tracked_vars),
        request_id_generator=request_id_generator,
        chests=_destinations(chests),
        inherit=inherit,
    )
    return lambda view: _mark(view, mark)


@overload
def count_requests(view: F, /) -> F: ...


@overload
def count_requests(*, metric_name: str = ..., dimensions: Dimensions = ...) -> Callable[[F], F]: ...


@refuse_unknown
def count_requests(view: object = None, /, *, metric_name: str = "RequestCount", dimensions: Dimensions = ()) -> Any:
    """Count every request of one route, also failed ones, as ``add_metric(metric_name, 1)`` would.

    It can be used wherever :func:`flask_chest` can, also together with it::

        @app.route("/")
        @count_requests(dimensions={"Page": "index"})
        def index(): ...

    Args:
        view: The view, without further arguments: ``@count_requests``.
        metric_name: Name of the metric.
        dimensions: ``{"Page": "index"}``, or CloudWatch's ``[{"Name": "Page", "Value": "index"}]``; without them,
            ``http.request.method`` and ``http.route``.

    Raises:
        ChestConfigError: An argument cannot be used.
    """
    mark = RouteMark(counts=(_count("metric_name", metric_name, dimensions, range(100, 600)),))
    return _mark(view, mark) if view is not None else lambda view: _mark(view, mark)


@overload
def count_failures(view: F, /) -> F: ...


@overload
def count_failures(
    *, error_name: str = ..., fault_name: str = ..., dimensions: Dimensions = ...
) -> Callable[[F], F]: ...


@refuse_unknown
def count_failures(
    view: object = None, /, *, error_name: str = "Error", fault_name: str = "Fault", dimensions: Dimensions = ()
) -> Any:
    """Count the failures of one route: 4xx is an error of the client, 5xx a fault of the server.

    Each request adds 1 or 0 to both metrics: the sum is the number of failures, the average is their share. An
    exception that leaves the application counts as 500.

    Args:
        view: The view, without further arguments: ``@count_failures``.
        error_name: Name of the metric of 4xx.
        fault_name: Name of the metric of 5xx.
        dimensions: ``{"Page": "index"}``, or CloudWatch's ``[{"Name": "Page", "Value": "index"}]``; without them,
            ``http.request.method`` and ``http.route``.

    Raises:
        ChestConfigError: An argument cannot be used.
    """
    errors = _count("error_name", error_name, dimensions, range(400, 500))
    faults = _count("fault_name", fault_name, dimensions, range(500, 600))
    mark = RouteMark(counts=(errors, faults))
    return _mark(view, mark) if view is not None else lambda view: _mark(view, mark)


def _count(argument: str, name: Any, dimensions: object, statuses: range) -> Count:
    try:
        legal_name(name)
    except Refused as refused:
        raise ChestConfigError(argument, name, "the name of a metric, of characters that can be printed") from refused
    try:
        return Count(name, dict(dimension_pairs(dimensions)), statuses)
    except Refused as refused:
        raise ChestConfigError("dimensions", dimensions, refused.reason) from refused


def _check_generator(generator: object) -> None:
    # A text "module:attribute" is allowed in settings only.
    allowed = "a callable without arguments, or None"
    try:
        callable_(None if isinstance(generator, str) else generator)
    except NotAllowedError as error:
        reason = f"{allowed} ({error})" if str(error) else allowed
        raise ChestConfigError("request_id_generator", generator, reason) from error


def _is_view(value: object) -> bool:
    return callable(value) and not isinstance(value, TrackedVar)


def _merged(names: tuple[object, ...], tracked_vars: object) -> TrackedVars:
    if not names:
        return parse_tracked_vars(tracked_vars)
    if tracked_vars != ():
        raise ChestConfigError("tracked_vars", tracked_vars, "names either as arguments or as tracked_vars=, not both")
    if len(names) == 1 and not isinstance(names[0], (str, TrackedVar)):
        return parse_tracked_vars(names[0])
    return parse_tracked_vars(names)


def _destinations(chests: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if chests is None:
        return None
    wanted = (chests,) if isinstance(chests, str) or not isinstance(chests, Iterable) else tuple(chests)
    return tuple(check_chest_name(name) for name in wanted)


def _mark(view: object, mark: RouteMark) -> object:
    if not _is_view(view) and not isinstance(view, (staticmethod, classmethod)):
        raise ChestConfigError("flask_chest", view, "a view below it: put it directly above a function or class")
    target = getattr(view, "__func__", view)
    try:
        # Make a new tuple: functools.wraps shares the old one between the wrapper and the wrapped function.
        setattr(target, MARK, (*own_marks(target), mark))
        remember(target)
    except AttributeError as error:
        raise ChestConfigError(
            "flask_chest", view, "a view that is a function or class, which can be marked"
        ) from error
    return view
