"""The log lines that a request's record keeps: few, short, errors before others."""

from __future__ import annotations

import logging
from typing import NamedTuple

from flask_chest_otel._records.record import LogLine
from flask_chest_otel._values.convert import Limits, to_attribute
from flask_chest_otel._values.exceptions import type_name, words_of

__all__ = ["LINE_BYTES", "MOST_LINES", "LogLines"]

MOST_LINES = 50
"""Lines that one record keeps."""

LINE_BYTES = 1024
"""How long one of them becomes, in UTF-8."""

_THINNED_AT = 4 * MOST_LINES
_CUT = "…"


class _Line(NamedTuple):
    created_s: float
    level: int
    level_name: str
    logger: str
    text: str


class LogLines:
    """What one request has logged so far."""

    __slots__ = ("_dropped", "_found")

    def __init__(self) -> None:
        self._found: list[_Line] = []
        self._dropped = 0

    def add(self, record: logging.LogRecord) -> None:
        """Take one line, after its handlers have had it: filters may have masked something in it."""
        text = _text_of(record)[:LINE_BYTES]
        self._found.append(_Line(record.created, record.levelno, record.levelname, record.name, text))
        if len(self._found) >= _THINNED_AT:
            self._thin()

    def finish(self) -> tuple[tuple[LogLine, ...], int]:
        """The lines that are kept, in the order of time, and how many more there were."""
        self._thin()
        return tuple(map(_shaped, self._found)), self._dropped

    def _thin(self) -> None:
        """Keep the first errors, which say what began, and the last of the others, which say how far it came."""
        found = self._found
        errors = [at for at, line in enumerate(found) if line.level >= logging.ERROR][:MOST_LINES]
        others = [at for at, line in enumerate(found) if line.level < logging.ERROR]
        room = MOST_LINES - len(errors)
        kept = [found[at] for at in sorted([*errors, *(others[-room:] if room else ())])]
        self._dropped += len(found) - len(kept)
        found[:] = kept


def _text_of(record: logging.LogRecord) -> str:
    # A formatter has left it there already; if not, none has asked.
    text = record.__dict__.get("message") or _message_of(record)
    error = record.exc_info[1] if record.exc_info else None
    return f"{text[:LINE_BYTES]}\n{type_name(error)}: {words_of(error, LINE_BYTES)}" if error is not None else text


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit: logging has said so
        return str(record.msg)


def _shaped(line: _Line) -> LogLine:
    text = str(to_attribute(line.text, Limits(LINE_BYTES)))
    if not text.isascii() and len(encoded := text.encode("utf-8", "replace")) > LINE_BYTES:
        text = encoded[: LINE_BYTES - len(_CUT.encode())].decode("utf-8", "ignore") + _CUT
    return LogLine(int(line.created_s * 1e9), line.level_name, line.logger, text)
