"""The exceptions of this package. They are raised at set-up only, never in a request (except ``ChestValueError``).

Tree::

    ChestError
    ├── ChestConfigError      (ValueError)    a setting, argument or tracked variable that cannot be used
    │   ├── UnknownArgumentError (TypeError)  an argument that there is not, perhaps mistyped
    │   ├── UnknownChestError (LookupError)   a route names a chest that the application does not have
    │   └── WrongCallError    (TypeError)     too many arguments or too few
    ├── ChestSetupError       (RuntimeError)  the extension is put on an application twice
    └── ChestValueError       (ValueError)    a value on g cannot be recorded (only with raise_exceptions=True)
"""

from __future__ import annotations

import difflib
import functools
import inspect
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from flask_chest_otel._base.sensitive import is_sensitive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "ChestConfigError",
    "ChestError",
    "ChestSetupError",
    "ChestValueError",
    "UnknownArgumentError",
    "UnknownChestError",
    "WrongCallError",
    "nearest",
    "refuse_unknown",
]


_MOST_CHARS = 200

_P = ParamSpec("_P")
_R = TypeVar("_R")


class ChestError(Exception):
    """The base class of all exceptions of this package."""


class ChestConfigError(ChestError, ValueError):
    """A setting, argument or tracked variable that cannot be used.

    Attributes:
        setting: The name as the user wrote it, for example ``FLASK_CHEST_LIST_LIMIT``.
        value: The given value.
        allowed: A description of the values that are accepted.
        route: Endpoint and view function of the route that the error is about; ``None`` where it is about no route.
    """

    route: str | None = None

    def __init__(self, setting: str, value: object, allowed: str) -> None:
        """Compose the message from its three parts."""
        self.setting = setting
        self.value = value
        self.allowed = allowed
        super().__init__(f"{setting}={_shown(value)} cannot be used: give {allowed}")

    def __str__(self) -> str:
        """The message, with the route that it is about."""
        return super().__str__() + (f" (on the route {self.route})" if self.route else "")


class UnknownArgumentError(ChestConfigError, TypeError):
    """A keyword argument that a function or class of this package does not take.

    Attributes:
        known: The arguments that are accepted.
    """

    def __init__(self, taker: str, name: str, value: object, known: Iterable[str]) -> None:
        """Name the nearest argument of ``taker``, else all of them. A secret is hidden, also under a mistyped name."""
        self.known = tuple(known)
        guess = nearest(name.lower(), self.known)
        hint = f" (did you mean {guess!r}?)" if guess else f": {', '.join(self.known)}"
        secret = is_sensitive(f"{name} {guess}")
        super().__init__(name, "***" if secret else value, f"an argument of {taker}{hint}")


class WrongCallError(ChestConfigError, TypeError):
    """A call with too many arguments or too few; who expects Python's error for it gets one."""


class UnknownChestError(ChestConfigError, LookupError):
    """A route names a chest that the application does not have.

    Attributes:
        known: The names that the extension was given with ``chests=``.
    """

    def __init__(self, name: str, known: Iterable[str]) -> None:
        """Name the known chests, the nearest one first."""
        self.known = tuple(sorted(known))
        guess = nearest(name, self.known)
        listed = f"a chest that the extension was given with chests=: {', '.join(self.known)}"
        super().__init__("chests", name, f"{listed} (did you mean {guess!r}?)" if guess else listed)


class ChestSetupError(ChestError, RuntimeError):
    """The extension is put on an application that already has one."""


class ChestValueError(ChestError, ValueError):
    """A value on ``g`` cannot be recorded; raised only with ``raise_exceptions=True``.

    Attributes:
        name: The tracked variable.
        reason: Why it was refused.
    """

    def __init__(self, name: str, reason: str) -> None:
        """Say which variable and why."""
        self.name = name
        self.reason = reason
        super().__init__(f"g.{name} cannot be recorded: {reason}")


def _shown(value: object) -> str:
    """The repr of a value, bounded; the name of its type where the repr raises."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the message matters more
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}…"


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The most similar known name, or ``None`` where none reaches ``likeness`` (from 0 to 1; 1: equal)."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)), None)


def refuse_unknown(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Wrap a function or an ``__init__`` so that unknown keyword arguments raise :class:`UnknownArgumentError`.

    Type checkers and editors still see its own signature: with a ``**unknown`` parameter in it, they would accept
    mistyped arguments. Arguments without a name that need one, and calls that lack an argument, are refused, too, with
    the call as it has to be written.
    """
    signature = inspect.signature(function)
    code = function.__code__
    named = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    known = tuple(name for name in named if name != "self")
    taker = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        for name, value in kwargs.items():
            if name not in known:
                raise UnknownArgumentError(taker, name, value, known)
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise _call_error(taker, signature, args, kwargs) from error
        return function(*args, **kwargs)

    return checked


def _call_error(
    taker: str, signature: inspect.Signature, args: Sequence[object], kwargs: Mapping[str, object]
) -> ChestConfigError:
    free = (name for name in signature.parameters if name not in kwargs)
    given = {**dict(zip(free, args, strict=False)), **kwargs}
    given.pop("self", None)
    shown = {name: "***" if is_sensitive(name) else _shown(value) for name, value in given.items()}
    for name, parameter in signature.parameters.items():
        if name != "self" and parameter.default is parameter.empty:
            shown.setdefault(name, "…")
    call = ", ".join(f"{name}={text}" for name, text in shown.items())
    secret = any(map(is_sensitive, given))
    return WrongCallError(f"{taker} arguments", "***" if secret else tuple(given.values()), f"{taker}({call})")
