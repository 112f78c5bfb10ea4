"""The exception with which a request failed, in the form that its record holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    """The exception that is the failure; ``None`` where it only stands for a response, such as that of ``abort(404)``.

    For ``InternalServerError(original_exception=error)``, the failure is ``error``.
    """
    if isinstance(error, HTTPException):
        return getattr(error, "original_exception", None)
    return error if error is not None and status_of(error) >= SERVER_ERROR else None


@guarded("error")
def describe_error(
    error: BaseException, root: str, chars: int, *, handled: bool, with_stack: bool = True
) -> RequestError:
    """Describe an exception in texts that are bounded and masked.

    Args:
        error: The exception.
        root: The folder of the application's own code.
        chars: Longest message, in characters.
        handled: Whether an error handler of the application has answered it.
        with_stack: Whether to format its stack trace, which takes most of the time.
    """
    return RequestError(
        type=type_name(error),
        message=words_of(error, chars),
        place=place_of(error, root),
        stack=stack_text(error) if with_stack else "",
        handled=handled,
    )


def is_failure(answer: object) -> bool:
    """Whether the return value of an error handler has a status of 500 or above."""
    body, *rest = answer if isinstance(answer, tuple) and answer else (answer,)
    stated = next((part for part in rest if isinstance(part, (int, str))), None)
    if stated is None:
        stated = getattr(body, "status_code", None) or getattr(body, "code", None)
    if isinstance(stated, str):  # a status line such as "503 Service Unavailable"
        stated = int(stated[:3]) if stated[:3].isdecimal() else None
    return isinstance(stated, int) and stated >= SERVER_ERROR


def is_one_of(error: BaseException | None, names: Iterable[str]) -> bool:
    """Whether the class of an exception, or one of its bases, has one of these full names."""
    return not {class_name(kind) for kind in type(error).__mro__}.isdisjoint(names)


def answers_failures(app: Flask, blueprints: Iterable[str], answer: type[HTTPException]) -> bool:
    """Whether the application handles ``answer``, the exception class that Flask makes of every failure."""
    by_scope: Mapping[str | None, Mapping[int | None, Mapping[type, object]]] = app.error_handler_spec
    scopes = [by_scope.get(scope, {}) for scope in (*blueprints, None)]
    kinds = [scope.get(code, {}) for scope in scopes for code in (answer.code, None)]
    return any(cls in kind for kind in kinds for cls in answer.__mro__)
