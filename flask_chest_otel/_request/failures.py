"""Why a request failed: the exception, as its record tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException

from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._guard import guarded
from flask_chest_otel._records.record import RequestError
from flask_chest_otel._values.exceptions import class_name, stack_text, status_of, type_name, words_of
from flask_chest_otel._values.stacks import place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flask import Flask

__all__ = ["answers_failures", "describe_error", "failure_in", "is_failure", "is_one_of"]


def failure_in(error: BaseException | None) -> BaseException | None:
    """What failed, where an exception tells of a failure; ``None`` where it is an answer, as of ``abort(404)``.

    ``InternalServerError(original_exception=error)`` tells of ``error``.
    """
    if isinstance(error, HTTPException):
        return getattr(error, "original_exception", None)
    return error if error is not None and status_of(error) >= SERVER_ERROR else None


@guarded("error")
def describe_error(
    error: BaseException, root: str, chars: int, *, handled: bool, with_stack: bool = True
) -> RequestError:
    """An exception as texts, bounded and masked.

    Args:
        error: What was raised.
        root: The folder of the application's own code.
        chars: Longest message, in characters.
        handled: Whether an error handler of the application has answered it.
        with_stack: Whether its stack is wanted, which takes most of the time.
    """
    return RequestError(
        type=type_name(error),
        message=words_of(error, chars),
        place=place_of(error, root),
        stack=stack_text(error) if with_stack else "",
        handled=handled,
    )


def is_failure(answer: Any) -> bool:
    """Whether what an error handler returns says that the server has failed: whether its status is 500 or more."""
    body, *rest = answer if isinstance(answer, tuple) and answer else (answer,)
    stated = next((part for part in rest if isinstance(part, (int, str))), None)
    if stated is None:
        stated = getattr(body, "status_code", None) or getattr(body, "code", None)
    if isinstance(stated, str):  # as of a status line
        stated = int(stated[:3]) if stated[:3].isdecimal() else None
    return isinstance(stated, int) and stated >= SERVER_ERROR


def is_one_of(error: BaseException | None, names: Iterable[str]) -> bool:
    """Whether an exception is of a class with one of these names, or derived from one."""
    return not {class_name(kind) for kind in type(error).__mro__}.isdisjoint(names)


def answers_failures(app: Flask, blueprints: Iterable[str], answer: type[HTTPException]) -> bool:
    """Whether the application has an error handler for the exception that Flask makes of every failure."""
    by_scope: Mapping[str | None, Mapping[int | None, Mapping[type, object]]] = app.error_handler_spec
    scopes = [by_scope.get(scope, {}) for scope in (*blueprints, None)]
    kinds = [scope.get(code, {}) for scope in scopes for code in (answer.code, None)]
    return any(cls in kind for kind in kinds for cls in answer.__mro__)
