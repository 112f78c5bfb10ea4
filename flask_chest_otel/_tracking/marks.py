"""Finds the marks that ``@flask_chest`` has set on a view, from the object that Flask holds."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from flask_chest_otel._base.weak import WeakObjects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel._tracking.plan import RouteMark

__all__ = ["MARK", "every_mark", "marked", "marks_of", "own_marks", "remember"]

MARK = "__flask_chest__"
"""Attribute of a marked function or class: a tuple of marks, the innermost decorator first."""


_marked: WeakObjects[Any] = WeakObjects()


def remember(target: object) -> None:
    """Remember weakly that ``target`` is marked, so that marks of functions that are on no route can be found."""
    with suppress(TypeError):  # the object has no hash, or weak references to its type are impossible
        _marked.add(target)


def marked() -> Iterator[tuple[str, tuple[RouteMark, ...]]]:
    """The name and marks of every function and class that was marked in this process."""
    found = ((f"{target.__module__}.{target.__qualname__}", own_marks(target)) for target in _marked)
    yield from sorted(found, key=lambda pair: pair[0])


def own_marks(target: object) -> tuple[RouteMark, ...]:
    """The marks on one object. ``functools.wraps`` copies them to a wrapper from the function that it wraps."""
    found: tuple[RouteMark, ...] = getattr(target, MARK, ())
    return found


def marks_of(view: object, method: str) -> tuple[RouteMark, ...]:
    """The marks that apply to one request: those of the view, its class, and the class's method that will run."""
    if view is None:
        return ()
    cls = getattr(view, "view_class", None)
    if cls is None:
        return own_marks(view)
    return _unique(own_marks(view) + own_marks(cls) + own_marks(_handler(cls, method)))


def every_mark(view: object) -> tuple[RouteMark, ...]:
    """All marks that may apply to any request to the view, for checks when it is registered."""
    cls = getattr(view, "view_class", None)
    if cls is None:
        return own_marks(view)
    handlers = {method.lower() for method in getattr(cls, "methods", None) or ()} | {"dispatch_request"}
    on_handlers = (own_marks(getattr(cls, name, None)) for name in sorted(handlers))
    return _unique(own_marks(view) + own_marks(cls) + sum(on_handlers, ()))


def _handler(cls: object, method: str) -> object:
    """The method of a class-based view that will run, chosen as ``MethodView.dispatch_request`` chooses it."""
    found = getattr(cls, method.lower(), None)
    if found is None and method == "HEAD":
        found = getattr(cls, "get", None)
    return found if found is not None else getattr(cls, "dispatch_request", None)


def _unique(marks: tuple[RouteMark, ...]) -> tuple[RouteMark, ...]:
    return tuple({id(mark): mark for mark in marks}.values())
