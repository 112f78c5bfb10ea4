"""An exception on a span, in words that every exporter can encode: client data may stand in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._values.convert import Limits, to_attribute
from flask_chest_otel._values.redaction import redacted_words
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
"""``logs``: log records in place of events of the span; ``logs/dup``: both. Other words say nothing.

https://opentelemetry.io/docs/specs/semconv/exceptions/
"""

STACKTRACE_CHARS = 16_384
"""Longest stack trace, in characters; of a longer one both ends are kept."""

_STATUSES = range(300, 600)
_CUT = "\n[...]\n"


def type_name(error: object) -> str:
    """The class of an exception, or of anything, as ``error.type`` says it: with its module, unless it is built in."""
    return class_name(type(error))


def class_name(kind: type) -> str:
    """The name of a class with its module, unless it is built in."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def status_of(error: BaseException | None) -> int:
    """The status of what is answered for an exception that leaves the application.

    500, as servers have it, but for exceptions that are made to be an answer, and carry a status: of a class
    ``HTTPException`` (Werkzeug's, Starlette's), or raised in place of one, as Connexion does. Others may carry a status
    that somebody has answered to *them*.
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
    """The exception's own text.

    Args:
        error: Its text is the application's code, and may quote what a client sent.
        chars: Longest result, in characters.
    """
    try:
        # What comes may be of a class of the application's; a plain text has no code of its own.
        text = str.__str__(str(error))
    except Exception:  # noqa: BLE001 - the application's own code
        return "(without a text)"
    return _clean(redacted_words(text[: 2 * chars]), chars)


def exception_attributes(error: BaseException, chars: int, stack: str | None = None) -> dict[str, str]:
    """What a signal says of an exception, by the semantic conventions.

    Args:
        error: What was raised.
        chars: Longest message, in characters.
        stack: What :func:`stack_text` says of the exception, where it was asked already; ``""``: nothing is said of it.
    """
    found = {"exception.type": type_name(error), "exception.message": words_of(error, chars)}
    stack = stack_text(error) if stack is None else stack
    return {**found, "exception.stacktrace": stack} if stack else found


def record_exception(span: Span, error: BaseException, chars: int, stack: str | None = None) -> None:
    """The event that ``span.record_exception`` makes, but cleaned, and bounded as in :func:`exception_attributes`."""
    span.add_event("exception", {**exception_attributes(error, chars, stack), "exception.escaped": "False"})


class ExceptionSignals(NamedTuple):
    """Where exceptions go.

    Attributes:
        on_span: Onto the span, as events.
        as_log: Out as log records.
    """

    on_span: bool
    as_log: bool


def exception_signals(environ: Mapping[str, str]) -> ExceptionSignals:
    """What OpenTelemetry's opt-in says; by default exceptions are events of the span."""
    words = {word.strip().lower() for word in environ.get(EXCEPTION_OPT_IN, "").split(",")}
    both = "logs/dup" in words
    return ExceptionSignals(on_span=both or "logs" not in words, as_log=both or "logs" in words)


def stack_text(error: BaseException) -> str:
    """The exception's traceback, without frames of this package, bounded; the application's own text is in it."""
    try:
        text = stack_of(error)
    except Exception:  # noqa: BLE001 - the application's own code
        return ""
    if len(text) > STACKTRACE_CHARS:
        half = (STACKTRACE_CHARS - len(_CUT)) // 2
        text = text[:half] + _CUT + text[-half:]
    return _clean(text, STACKTRACE_CHARS)


def _clean(text: str, chars: int) -> str:
    return str(to_attribute(text, Limits(chars)))
