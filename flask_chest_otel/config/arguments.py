"""Unknown keyword arguments become an error of ours, which names the nearest known one."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from flask_chest_otel.errors import UnknownArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["refuse_unknown"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def refuse_unknown(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Wrap ``function`` (or an ``__init__``), whose signature stays what type checkers and editors see.

    A ``**unknown`` parameter in the signature would make them accept what is mistyped.
    """
    code = function.__code__
    named = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    known = tuple(name for name in named if name != "self")
    taker = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for name, value in kwargs.items():
            if name not in known:
                raise UnknownArgumentError(taker, name, value, known)
        return function(*args, **kwargs)

    return checked
