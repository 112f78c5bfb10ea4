"""An exception on a span, in words that every exporter can encode: client data may stand in them."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from flask_chest_otel._values import Limits, to_attribute

if TYPE_CHECKING:
    from opentelemetry.trace import Span

__all__ = ["STACKTRACE_CHARS", "record_exception", "type_name", "words_of"]

STACKTRACE_CHARS = 16_384
"""Longest stack trace on a span, in characters; of a longer one both ends are kept."""

_CUT = "\n[...]\n"


def type_name(error: BaseException) -> str:
    """The exception's class as ``error.type`` says it: with its module, unless it is built in."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def words_of(error: BaseException, chars: int) -> str:
    """The exception's own text.

    Args:
        error: Its text is the application's code, and may quote what a client sent.
        chars: Longest result, in characters.
    """
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the application's own code
        return "(without a text)"
    return _clean(text, chars)


def record_exception(span: Span, error: BaseException, chars: int) -> None:
    """The event that ``span.record_exception`` makes, but cleaned, and its message cut to ``chars``."""
    attributes = {
        "exception.type": type_name(error),
        "exception.message": words_of(error, chars),
        "exception.stacktrace": _stacktrace_of(error),
        "exception.escaped": "False",
    }
    span.add_event("exception", attributes)


def _stacktrace_of(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    if len(text) > STACKTRACE_CHARS:
        half = (STACKTRACE_CHARS - len(_CUT)) // 2
        text = text[:half] + _CUT + text[-half:]
    return _clean(text, STACKTRACE_CHARS)


def _clean(text: str, chars: int) -> str:
    return str(to_attribute(text, Limits(chars)))
