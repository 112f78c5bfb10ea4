"""Checks of what routes say with ``@flask_chest``: raised where that is possible, else in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._guard import Refusal, count_refusal
from flask_chest_otel._tracking.marks import every_mark
from flask_chest_otel.errors import ChestConfigError, UnknownChestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from flask_chest_otel._tracking.plan import Planner

__all__ = ["check_route", "note_unusable"]


def check_route(planner: Planner, endpoint: str | None, view: object) -> None:
    """Check what is written above one view.

    Raises:
        ChestConfigError: It cannot be used; the error names the route.
        UnknownChestError: It names a chest that the application does not have.
    """
    marks = every_mark(view)
    if not marks:
        return
    try:
        planner.check(marks)
    except ChestConfigError as error:
        error.route = _name_of(endpoint, view)
        raise


def note_unusable(planner: Planner, app: Flask) -> None:
    """Say what nothing could refuse: zero code, ``@app.endpoint`` and marks above ``@app.route`` come past no check."""
    _noted(planner.check, ())
    for endpoint, view in app.view_functions.items():
        _noted(check_route, planner, endpoint, view)


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
