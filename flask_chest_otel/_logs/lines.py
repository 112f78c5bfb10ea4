"""The log lines in a request's record: their number and length are bounded, and errors are preferred."""

from __future__ import annotations

import logging
from threading import Lock

from flask_chest_otel._records.record import LogLine
from flask_chest_otel._values.convert import Limits, to_attribute
from flask_chest_otel._values.exceptions import type_name, words_of
from flask_chest_otel._values.redaction import redacted_beginning

__all__ = ["LINE_BYTES", "MOST_LINES", "LogLines"]

MOST_LINES = 50
"""Largest number of log lines in one record."""

LINE_BYTES = 1024
"""Longest message of a log line, bytes of UTF-8."""

_THINNED_AT = 4 * MOST_LINES
_CUT = "…"

_PLAIN = frozenset({str, int, float, bool, type(None)})
"""Types whose conversion to text runs no code of the application."""


_Line = tuple[float, int, str, str, str]
"""When a line was logged (seconds), its level, the level's name, the logger's name, and the text.

A plain tuple, which takes a third of the time of a named one: one is made for each line.
"""


class LogLines:
    """The log lines of one request so far; several of its threads may log at the same time.

    Args:
        secret_paths: The request's path as it may stand in lines, where an argument in it has a sensitive name.
        rule: The text to keep in its place.
    """

    __slots__ = ("_dropped", "_found", "_rule", "_secret_paths", "_thinning")

    def __init__(self, secret_paths: tuple[str, ...] = (), rule: str = "") -> None:
        self._secret_paths = secret_paths
        self._rule = rule
        self._found: list[_Line] = []
        self._dropped = 0
        self._thinning = Lock()

    def add(self, record: logging.LogRecord, logger: logging.Logger, level: str) -> None:
        """Take one line, after the handlers of its logger: their filters may have masked something in it.

        Args:
            record: The line, as it was written.
            logger: Its logger.
            level: The name of its level, as it was before the handlers.
        """
        text = getattr(record, "message", None)  # formatters set it
        if type(text) is not str or not text or record.exc_info or type(record.msg) is dict:
            text = _text_of(record, logger)
        for path in self._secret_paths:  # Flask writes "Exception on /reset/…"
            text = text.replace(path, self._rule)
        found = self._found
        found.append((record.created, record.levelno, level, record.name, text[:LINE_BYTES]))
        # Do not wait for the lock: the next line checks again.
        if len(found) >= _THINNED_AT and self._thinning.acquire(blocking=False):
            try:
                self._thin()
            finally:
                self._thinning.release()

    @property
    def count(self) -> int:
        """How many lines were added."""
        return self._dropped + len(self._found)

    def finish(self) -> tuple[tuple[LogLine, ...], int]:
        """The kept lines in the order of time, and the number of further lines."""
        found = [*self._found]
        kept = _kept(found)
        return tuple(map(_shaped, kept)), self._dropped + len(found) - len(kept)

    def _thin(self) -> None:
        found = [*self._found]
        kept = _kept(found)
        self._dropped += len(found) - len(kept)
        self._found[: len(found)] = kept


def _kept(found: list[_Line]) -> list[_Line]:
    """Choose the first errors, which show what went wrong first, and the last of the other lines before the end."""
    if len(found) <= MOST_LINES:
        return found
    errors = [at for at, line in enumerate(found) if line[1] >= logging.ERROR][:MOST_LINES]
    if not errors:
        return found[-MOST_LINES:]
    others = [at for at, line in enumerate(found) if line[1] < logging.ERROR]
    room = MOST_LINES - len(errors)
    return [found[at] for at in sorted([*errors, *(others[-room:] if room else ())])]


def _text_of(record: logging.LogRecord, logger: logging.Logger) -> str:
    # Formatters set this attribute.
    found = record.__dict__.get("message")
    formatted = type(found) is str and found and type(record.msg) is not dict
    text = str(found) if formatted else _message_of(record, logger)
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return f"{text}\n{type_name(error)}: {words_of(error, LINE_BYTES)}" if error is not None else text


def _message_of(record: logging.LogRecord, logger: logging.Logger) -> str:
    """Format a line that no formatter has formatted. Code of the application runs only where a handler ran it, too."""
    try:
        if _is_plain(record.msg, record.args) or _is_written(record.levelno, logger):
            text = record.getMessage()
            # structlog's ProcessorFormatter gets the fields of a line, and masks a copy of them.
            return redacted_beginning(text, LINE_BYTES) if type(record.msg) is dict else text
    except Exception:  # noqa: BLE001, S110 - the arguments do not fit the message: logging has reported it
        pass
    return record.msg if type(record.msg) is str else f"({type_name(record.msg)})"


def _is_plain(message: object, arguments: object) -> bool:
    found = tuple(arguments.values()) if type(arguments) is dict else arguments or ()
    return type(message) is str and type(found) is tuple and all(type(one) in _PLAIN for one in found)


def _is_written(level: int, logger: logging.Logger | None) -> bool:
    """Whether a handler has taken a line of that level."""
    while logger is not None:
        for handler in logger.handlers:
            if level >= handler.level and not isinstance(handler, logging.NullHandler):
                return True
        logger = logger.parent if logger.propagate else None
    return False


def _shaped(line: _Line) -> LogLine:
    created_s, _, level_name, logger, text = line
    if not text.isprintable():
        text = str(to_attribute(text, Limits(LINE_BYTES)))
    if not text.isascii() and len(encoded := text.encode("utf-8", "replace")) > LINE_BYTES:
        text = encoded[: LINE_BYTES - len(_CUT.encode())].decode("utf-8", "ignore") + _CUT
    if not logger.isprintable():
        logger = str(to_attribute(logger, Limits(LINE_BYTES)))
    return LogLine(int(created_s * 1e9), level_name, logger, text)
