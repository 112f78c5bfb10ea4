"""``request_log``: a chest that writes one log line for each finished request, as logfmt or JSON."""

from __future__ import annotations

import json
import logging
import math
import re
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan

from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._guard import guarded
from flask_chest_otel._logs.fields import ABSENT, one_line
from flask_chest_otel._request.span_context import span_context_of
from flask_chest_otel.names import REQUEST_LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.context import Context

    from flask_chest_otel._records.record import RequestRecord

__all__ = ["RequestLog", "as_json", "as_logfmt"]

_BARE = re.compile(r"[A-Za-z0-9_.:/@+<>,;-]+")
_KEY = re.compile(r"[^A-Za-z0-9_.:/@+-]")


class RequestLog:
    """Writes one log line for each record.

    Args:
        form: ``"logfmt"`` or ``"json"``.
        variables: The variables whose values are fields of every log line, of this one, too.
    """

    name = "request_log"

    def __init__(self, form: str, variables: Iterable[str] = ()) -> None:
        self._variables = tuple(variables)
        self._write = as_json if form == "json" else as_logfmt
        self._logger: logging.Logger | None = None
        self._stderr: logging.Handler | None = None

    @guarded("request log")
    def put(self, record: RequestRecord) -> None:
        """Write one line; its level is ``ERROR`` where the status is 500 or above."""
        logger = self._logger or self._prepare()
        failed = record.status >= SERVER_ERROR or (record.error is not None and not record.error.handled)
        level = logging.ERROR if failed else logging.INFO
        # Without a level of its own the logger has the root's, WARNING, and would write failures alone.
        if logger.isEnabledFor(level) if logger.level else logger.manager.disable < level:
            token = otel_context.attach(_context_of(record))
            try:
                self._hand_over(logger, self._line(logger, level, record))
            finally:
                otel_context.detach(token)

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002 - a chest's signature
        """Return ``True``: nothing is queued."""
        return True

    def close(self, timeout_s: float) -> bool:  # noqa: ARG002 - a chest's signature
        """Return ``True``: nothing is open."""
        return True

    def _prepare(self) -> logging.Logger:
        """Get the logger at the first line, as ``dictConfig`` disables loggers that were made before it."""
        logger = self._logger = logging.getLogger(REQUEST_LOGGER)
        return logger

    def _hand_over(self, logger: logging.Logger, line: logging.LogRecord) -> None:
        """Where logging is not configured, the line goes to standard error, as Werkzeug's lines do."""
        if logger.hasHandlers():
            logger.handle(line)
        elif not logger.disabled and logger.filter(line):
            if self._stderr is None:
                self._stderr = logging.StreamHandler()
            self._stderr.handle(line)

    def _line(self, logger: logging.Logger, level: int, record: RequestRecord) -> logging.LogRecord:
        fields = dict(_fields(record))
        line = logger.makeRecord(logger.name, level, "(request)", 0, self._write(fields), (), None)
        # Not with extra=: it raises for names that a record factory has set already.
        line.__dict__.update(fields)
        for name in self._variables:
            # When this line is written, the request is over, and its values can be had from the record only.
            line.__dict__.setdefault(name, one_line(record.variables.get(name, ABSENT)))
        return line


def _context_of(record: RequestRecord) -> Context:
    """The context with the request's span, which is over: handlers ask OpenTelemetry for the current one."""
    span = span_context_of(record)
    return trace.set_span_in_context(NonRecordingSpan(span)) if span.is_valid else otel_context.get_current()


def _fields(record: RequestRecord) -> Iterator[tuple[str, object]]:
    """The fields of the line; fields without a value are left out."""
    error = record.error
    first_byte_s, cpu_s = record.first_byte_s, record.cpu_s
    found = {
        "request_id": record.request_id,
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "service": record.service,
        "version": record.version,
        "method": record.method,
        "route": record.route,
        "path": record.path or None,
        "status": record.status,
        "duration_ms": round(record.duration_s * 1000, 3),
        "first_byte_ms": round(first_byte_s * 1000, 3) if first_byte_s is not None else None,
        "cpu_ms": round(cpu_s * 1000, 3) if cpu_s is not None else None,
        "error_type": error.type if error is not None else None,
        "error_message": error.message if error is not None else None,
        "error_place": error.place or None if error is not None else None,
        "chests": ",".join(record.chests) if record.chests is not None else None,
        "variables": dict(record.variables),
    }
    return ((name, value) for name, value in found.items() if value is not None)


def as_json(fields: dict[str, object]) -> str:
    """One JSON object on one line."""
    return _json({name: _finite(value) for name, value in fields.items()})


def as_logfmt(fields: dict[str, Any]) -> str:
    """Write ``key=value`` pairs with spaces between them; values that are not a single word are quoted as in JSON."""
    variables = {f"g.{name}": value for name, value in fields["variables"].items()}
    plain = {name: value for name, value in fields.items() if name != "variables"}
    return " ".join(f"{_KEY.sub('_', name)}={_word(value)}" for name, value in (plain | variables).items())


def _word(value: object) -> str:
    text = value if isinstance(value, str) else _json(_finite(value))
    return text if _BARE.fullmatch(text) else _json(text)


def _finite(value: object) -> object:
    """Replace NaN and infinity by their names, as JSON has neither."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_finite(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


_escaped: Callable[[str], str] = json.dumps


def _json(value: object) -> str:
    """JSON with all invisible characters escaped: a client's text can neither end the line nor change its direction."""
    text = json.dumps(value, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(sign)[1:-1] for sign in text)
