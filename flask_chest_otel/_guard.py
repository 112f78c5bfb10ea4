"""Errors of ours: logged once per kind, counted, never raised into the application; nor are those of a log line.

Counts are those of the process: a child of a fork begins from zero, and says once what its parent has said.
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
"""Kinds of trouble that are told apart; names that the application makes up would fill the memory."""

LONGEST_LINE = 1000
"""Characters of one message that names what an application or a client gave."""

COUNTED = " (logged once, counted from now on)"
"""How such a line ends in a log."""

FURTHER = ("further kinds", "")
"""Where all others are counted together."""


class Refusal(Enum):
    """What is refused; each value is one of the attribute ``flask_chest.reason``."""

    VALUE = "value"
    LIMIT = "limit"
    REQUEST_ID = "request_id"
    CHEST = "chest"
    SETTING = "setting"
    BAGGAGE = "baggage"


counts: Counter[tuple[Refusal | str, str]] = Counter()
"""How often each kind of trouble was met: a refusal and what it is about, or a step and the class of its error."""

_refusals: Counter[Refusal] = Counter()
_errors: Counter[str] = Counter()
_process: object = None
_reraise = False


class Log:
    """A logger whose lines cannot raise: the application's filters see them, also outside of requests and in threads.

    ``logging`` leaves errors of filters, and of handlers that do not catch their own, to whoever wrote the line.

    Args:
        name: The logger's name.
    """

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, message: str, *args: object) -> None:
        """What went as it should."""
        self._line(logging.INFO, message, args)

    def warning(self, message: str, *args: object) -> None:
        """What somebody should look at."""
        self._line(logging.WARNING, message, args)

    def error(self, message: str, *args: object) -> None:
        """What failed."""
        self._line(logging.ERROR, message, args)

    def _line(self, level: int, message: str, args: tuple[object, ...]) -> None:
        try:
            self._logger.log(level, message, *args, stacklevel=3)
        except Exception:
            # Nobody to tell it to: a line on this one would meet the same filter.
            if _reraise:
                raise


class LossReport:
    """Says how much was lost since it was said last, at most once a minute.

    Args:
        log: Where it is said.
        message: What was lost; the first argument is how much.
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
        """Say it, if there is news; ``total``: everything that was lost so far."""
        if total > self._said and self._limit.allows("loss"):
            self._log.warning(self._message, total - self._said, *self._args)
            self._said = total


_logger = Log("flask_chest_otel")


class guarded:  # noqa: N801 - reads as a statement: `with guarded("begin"):` and `@guarded("begin")`
    """Keep every ``Exception`` of one step away from the application; as context manager or decorator.

    Args:
        step: What was being done, for the log and the counts.
    """

    __slots__ = ("_step",)

    def __init__(self, step: str) -> None:
        self._step = step

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Swallow what is an ``Exception``; ``KeyboardInterrupt`` and worker timeouts pass."""
        if not isinstance(error, Exception):
            return False
        report_error(self._step, error)
        return True

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R | None]:
        """Wrap ``function``; it returns ``None`` when it fails."""
        step = self._step

        # Not `with self`: entering a context manager costs more than all else here, on every request.
        @functools.wraps(function)
        def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - that is the point
                report_error(step, error)
                return None

        return wrapper


def count_refusal(reason: Refusal, about: str, message: str, *args: object) -> None:
    """Count one refusal of what an application, a client or a setting gave; log the first of its kind.

    Args:
        reason: What is refused.
        about: Which one: the setting's name, for example. Refusals of one reason are told apart by it.
        message: The log line, with a placeholder for each of ``args``.
        args: What a client or an application gave may be among them.
    """
    if _is_first((reason, about), _refusals, reason):
        _logger.warning("%s%s", printable(message % args)[:LONGEST_LINE], COUNTED)


def report_error(step: str, error: BaseException) -> None:
    """Count one error of ours; log the first of its kind: a sentence of ours as it is, others with a traceback.

    Raises:
        BaseException: ``error`` itself, inside :func:`reraising`.
    """
    if _reraise:
        raise error
    kind = type(error).__name__
    if not _is_first((step, kind), _errors, step):
        return
    if isinstance(error, ChestError):
        # It says what to type; where in this package it was raised says nothing.
        _logger.error("flask_chest_otel failed at %s; requests go on (logged once): %s", step, printable(str(error)))
    else:
        _logger.error(
            "flask_chest_otel failed at %s; the request goes on (logged once)\n%s",
            printable(f"{step}: {kind}"),
            _Account(error),
        )


def printable(text: str) -> str:
    """``text`` as one line that cannot forge another: line ends, control characters and their like are escaped."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def lines(text: str) -> str:
    """``text`` with its line ends, and every line of it printable."""
    return "\n".join(map(printable, text.split("\n")))


class _Account:
    """How an error came about, put into words where a log handler asks for them.

    In place of ``exc_info``, whose last line is the error's own text as it is: what a client sent may be quoted there.
    """

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __str__(self) -> str:
        """The traceback, causes first: frames as Python shows them, each error's own words on one line."""
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
    """Begin to count from zero."""
    counts.clear()
    _refusals.clear()
    _errors.clear()


def totals() -> tuple[dict[str, int], dict[str, int]]:
    """This process's refusals, by the value of their reason, and its errors, by step."""
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
    """Let errors of ours out: the test-suite runs inside this."""
    global _reraise  # noqa: PLW0603 - one switch per process, thrown by tests only
    previous, _reraise = _reraise, True
    try:
        yield
    finally:
        _reraise = previous
