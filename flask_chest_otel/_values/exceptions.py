"""Describes exceptions by the semantic conventions, in texts that are bounded and that every exporter can encode."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._values.convert import Limits, to_attribute
from flask_chest_otel._values.redaction import redacted_beginning
from flask_chest_otel._values.stacks import stack_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Span

__all__ = [
    "EXCEPTION_OPT_IN",
    "STACKTRACE_CHARS",
    "ExceptionSignals",
    "class_name",
    "exception_attributes",
    "exception_signals",
    "record_exception",
    "stack_text",
    "status_of",
    "type_name",
    "words_of",
]

EXCEPTION_OPT_IN = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"
"""Environment variable. ``logs``: exceptions are log records, not span events; ``logs/dup``: both. Others: ignored.

https://opentelemetry.io/docs/specs/semconv/exceptions/
"""

STACKTRACE_CHARS = 16_384
"""Longest stack trace, in characters. A longer one loses its middle."""

_STATUSES = range(300, 600)
_CUT = "\n[...]\n"


def type_name(error: object) -> str:
    """The value of ``error.type`` for an object: its class with module; without module where it is built in."""
    return class_name(type(error))


def class_name(kind: type) -> str:
    """The name of a class with its module, unless it is built in."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def status_of(error: BaseException | None) -> int:
    """The status that the client gets for an exception that leaves the application.

    It is 500, except for exceptions that stand for a response and carry its status: those of a class named
    ``HTTPException`` (Werkzeug's, Starlette's), and those raised in place of one, as Connexion does. The status of any
    other exception is ignored: HTTP clients raise exceptions with the status that another server has answered.
    """
    if error is None or not any(map(_is_http, (error, error.__cause__, error.__context__))):
        return SERVER_ERROR
    try:
        carried = getattr(error, "status_code", None) or getattr(error, "code", None)
    except Exception:  # noqa: BLE001 - the application's own code
        return SERVER_ERROR
    return carried if isinstance(carried, int) and carried in _STATUSES else SERVER_ERROR


def _is_http(error: BaseException | None) -> bool:
    return any(cls.__name__ == "HTTPException" for cls in type(error).__mro__)


def words_of(error: BaseException, chars: int) -> str:
    """The exception's own text, cleaned, masked and bounded.

    Args:
        error: The exception. Its ``__str__`` may be the application's code, and may quote what a client sent.
        chars: Longest result, in characters.
    """
    try:
        # str() may return a subclass of str with code of its own; str.__str__ makes a plain text of it.
        text = str.__str__(str(error))
    except (Exception, SystemExit):  # noqa: BLE001 - the application's own code
        return "(without a text)"
    return _clean(redacted_beginning(text, 2 * chars), chars)


def exception_attributes(error: BaseException, chars: int, stack: str | None = None) -> dict[str, str]:
    """The attributes of an exception by the semantic conventions.

    Args:
        error: The exception.
        chars: Longest message, in characters.
        stack: The result of :func:`stack_text`, where the caller has it already; ``""`` leaves the attribute out.
    """
    found = {"exception.type": type_name(error), "exception.message": words_of(error, chars)}
    stack = stack_text(error) if stack is None else stack
    return {**found, "exception.stacktrace": stack} if stack else found


def record_exception(span: Span, error: BaseException, chars: int, stack: str | None = None) -> None:
    """Add the event that ``span.record_exception`` would add, with cleaned and bounded texts."""
    span.add_event("exception", {**exception_attributes(error, chars, stack), "exception.escaped": "False"})


class ExceptionSignals(NamedTuple):
    """Which signals carry exceptions.

    Attributes:
        on_span: Whether exceptions become span events.
        as_log: Whether exceptions become log records.
    """

    on_span: bool
    as_log: bool


def exception_signals(environ: Mapping[str, str]) -> ExceptionSignals:
    """Read ``OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN``; by default exceptions are span events only."""
    words = {word.strip().lower() for word in environ.get(EXCEPTION_OPT_IN, "").split(",")}
    both = "logs/dup" in words
    return ExceptionSignals(on_span=both or "logs" not in words, as_log=both or "logs" in words)


def stack_text(error: BaseException) -> str:
    """The exception's traceback as text: bounded, without frames of this package. It contains the exception's text."""
    try:
        text = stack_of(error)
    except (Exception, SystemExit):  # noqa: BLE001 - the application's own code
        return ""
    if len(text) > STACKTRACE_CHARS:
        half = (STACKTRACE_CHARS - len(_CUT)) // 2
        text = text[:half] + _CUT + text[-half:]
    return _clean(text, STACKTRACE_CHARS)


def _clean(text: str, chars: int) -> str:
    return str(to_attribute(text, Limits(chars)))
