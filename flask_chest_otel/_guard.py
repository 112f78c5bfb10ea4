"""The guard around the steps of this package: its errors are counted, logged once per kind, and never raised.

An error of a log handler or filter is not raised into the application either. The counts belong to the process: a child
of a fork begins at zero and logs each kind once again.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from contextlib import contextmanager
from enum import Enum
from traceback import TracebackException
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from flask_chest_otel._base.process import current_process
from flask_chest_otel._base.rate_limit import RateLimit
from flask_chest_otel.errors import ChestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

__all__ = [
    "COUNTED",
    "Log",
    "LossReport",
    "Refusal",
    "count_refusal",
    "counts",
    "forget",
    "guarded",
    "lines",
    "printable",
    "report_error",
    "reraising",
    "totals",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")

MOST_KINDS = 1000
"""Largest number of kinds that are counted separately: the application may invent any number of names."""

LONGEST_LINE = 1000
"""Longest log message that contains a value from the application or a client, in characters."""

COUNTED = " (logged once, counted from now on)"
"""The end of a log line that is written only once."""

FURTHER = ("further kinds", "")
"""The key under which all kinds beyond the limit are counted."""


class Refusal(Enum):
    """The reasons of refusals: the values of the metric attribute ``flask_chest.reason``."""

    VALUE = "value"
    LIMIT = "limit"
    REQUEST_ID = "request_id"
    CHEST = "chest"
    SETTING = "setting"
    BAGGAGE = "baggage"


counts: Counter[tuple[Refusal | str, str]] = Counter()
"""Count of each kind: a refusal with the name that it is about, or a step with the class of its error."""

_refusals: Counter[Refusal] = Counter()
_errors: Counter[str] = Counter()
_process: object = None
_reraise = False


class Log:
    """A logger whose methods never raise.

    ``logging`` raises errors of the application's filters, and of handlers that do not catch theirs, to the code that
    logs.

    Args:
        name: The logger's name.
    """

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, message: str, *args: object) -> None:
        """Log an expected event."""
        self._line(logging.INFO, message, args)

    def warning(self, message: str, *args: object) -> None:
        """Log a problem that somebody should look at."""
        self._line(logging.WARNING, message, args)

    def error(self, message: str, *args: object) -> None:
        """Log a failure."""
        self._line(logging.ERROR, message, args)

    def _line(self, level: int, message: str, args: tuple[object, ...]) -> None:
        try:
            self._logger.log(level, message, *args, stacklevel=3)
        except Exception:
            # The error is dropped: a log line about it would meet the same filter.
            if _reraise:
                raise


class LossReport:
    """Logs how much was lost since the last log line, at most once a minute.

    Args:
        log: The logger.
        message: The log message; its first argument is the number of lost items.
        args: Further arguments of the message.
    """

    EVERY_S = 60.0

    __slots__ = ("_args", "_limit", "_log", "_message", "_said")

    def __init__(self, log: Log, message: str, *args: object) -> None:
        self._log = log
        self._message = message
        self._args = args
        self._said = 0
        self._limit = RateLimit(self.EVERY_S)

    def report(self, total: int) -> None:
        """Log the loss, if it has grown; ``total`` is everything that was lost so far."""
        if total > self._said and self._limit.allows("loss"):
            self._log.warning(self._message, total - self._said, *self._args)
            self._said = total


_logger = Log("flask_chest_otel")


class guarded:  # noqa: N801 - reads as a statement: `with guarded("begin"):` and `@guarded("begin")`
    """Keep every ``Exception`` of one step away from the application; a context manager and a decorator.

    Args:
        step: The name of the step, for the log and the counts.
    """

    __slots__ = ("_step",)

    def __init__(self, step: str) -> None:
        self._step = step

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Report an ``Exception`` and suppress it; ``KeyboardInterrupt`` and worker timeouts are not suppressed."""
        if not isinstance(error, Exception):
            return False
        report_error(self._step, error)
        return True

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R | None]:
        """Wrap ``function``; it returns ``None`` when it fails."""
        step = self._step

        # Not `with self`: entering a context manager takes longer than everything else here, in every request.
        @functools.wraps(function)
        def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the purpose of the guard
                report_error(step, error)
                return None

        return wrapper


def count_refusal(reason: Refusal, about: str, message: str, *args: object) -> None:
    """Count one refusal of a value from the application, a client or a setting; log the first of its kind.

    Args:
        reason: The reason.
        about: The name that the refusal is about, such as a setting's. Refusals with the same reason are counted by it.
        message: The log message, with a placeholder for each of ``args``.
        args: Arguments of the message; they may contain texts from a client.
    """
    if _is_first((reason, about), _refusals, reason):
        _logger.warning("%s%s", printable(message % args)[:LONGEST_LINE], COUNTED)


def report_error(step: str, error: BaseException) -> None:
    """Count one error of this package and log the first of its kind: errors of our own classes without traceback.

    Raises:
        BaseException: ``error`` itself, inside :func:`reraising`.
    """
    if _reraise:
        raise error
    kind = type(error).__name__
    if not _is_first((step, kind), _errors, step):
        return
    if isinstance(error, ChestError):
        # The message says what to type; a traceback of this package would not help.
        _logger.error("flask_chest_otel failed at %s; requests go on (logged once): %s", step, printable(str(error)))
    else:
        _logger.error(
            "flask_chest_otel failed at %s; the request goes on (logged once)\n%s",
            printable(f"{step}: {kind}"),
            _Account(error),
        )


def printable(text: str) -> str:
    """Return ``text`` as one line: line ends and control characters are escaped, so that it cannot forge a log line."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def lines(text: str) -> str:
    """Return ``text`` with each of its lines made printable; its line ends stay."""
    return "\n".join(map(printable, text.split("\n")))


class _Account:
    """The traceback of an error, formatted only when a log handler needs the text.

    It replaces ``exc_info``, which would write the error's own text unescaped; that text may quote a client.
    """

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        """The traceback, causes first: frames in Python's format, the text of each error on one line."""
        chain = [TracebackException.from_exception(self._error)]
        while before := chain[-1].__cause__ or (None if chain[-1].__suppress_context__ else chain[-1].__context__):
            chain.append(before)
        return "\n\n".join("\n".join(_lines(one)) for one in reversed(chain))


def _lines(found: TracebackException) -> Iterator[str]:
    yield "Traceback (most recent call last):"
    for frame in found.stack.format():
        yield from map(printable, frame.rstrip("\n").split("\n"))
    yield printable("".join(found.format_exception_only()).rstrip("\n"))[:LONGEST_LINE]


def forget() -> None:
    """Set all counts to zero, and log each kind again."""
    counts.clear()
    _refusals.clear()
    _errors.clear()


def totals() -> tuple[dict[str, int], dict[str, int]]:
    """The counts of this process: refusals by the value of their reason, and errors by step."""
    refusals = {reason.value: count for reason, count in _refusals.items()}
    return (refusals, dict(_errors)) if _process is current_process() else ({}, {})


def _is_first(kind: tuple[Refusal | str, str], totals: Counter[_T], total: _T) -> bool:
    global _process  # noqa: PLW0603 - whose counts these are
    if _process is not current_process():
        _process = current_process()
        forget()
    if kind not in counts and len(counts) >= MOST_KINDS:
        kind = FURTHER
    totals[total] += 1
    counts[kind] += 1
    return counts[kind] == 1


@contextmanager
def reraising() -> Iterator[None]:
    """Raise errors of this package; the test suite runs inside this block."""
    global _reraise  # noqa: PLW0603 - one switch per process, thrown by tests only
    previous, _reraise = _reraise, True
    try:
        yield
    finally:
        _reraise = previous
