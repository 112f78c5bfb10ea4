"""Checks of logging: which fields log records get, and which formats use a field that no record has."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from flask_chest_otel._doctor.part import Part, Row
from flask_chest_otel._guard import printable
from flask_chest_otel._logs.stdlib import fields_on_lines
from flask_chest_otel._tracking.routes import unknown_log_fields
from flask_chest_otel.errors import nearest
from flask_chest_otel.logs import RequestFields
from flask_chest_otel.names import LOG_FIELDS, REQUEST_LOGGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from flask_chest_otel._lifecycle.state import ChestState

__all__ = ["part"]

_MISSING = re.compile(r"'([^']+)'")


def part(state: ChestState, app: Flask) -> Part:
    """List the fields of log records, what sets them, and for each handler the first field that its format lacks."""
    found = Part("logs", ("LOG LINES", "FOUND", "THEREFORE"))
    fields = fields_on_lines()
    found.rows.append(Row("log_fields", ", ".join(fields) or "none", state.export.sources.get("log_fields", "default")))
    if state.config.request_log is not None:
        found.rows.append(Row("request_log", state.config.request_log, f"on the logger {REQUEST_LOGGER}"))
        if logging.getLogger(REQUEST_LOGGER).disabled:
            found.problems.append(
                f"the logger {REQUEST_LOGGER} is disabled: no request gets its line; "
                "type disable_existing_loggers: False into the configuration of logging"
            )
    found.rows += _others()
    found.problems += map(str, unknown_log_fields(state.logs.names, state.config.tracked_vars, app))
    for logger in _loggers():
        for handler in logger.handlers:
            _look_at(logger, handler, found)
            for behind in _behind(handler):
                _look_at(logger, behind, found)
    return found


def _behind(handler: logging.Handler) -> Iterator[logging.Handler]:
    """Yield the handlers behind one that formats nothing: a ``MemoryHandler``, since 3.12 also a ``QueueHandler``."""
    listener = getattr(handler, "listener", None)
    for one in (getattr(handler, "target", None), *(getattr(listener, "handlers", None) or ())):
        if isinstance(one, logging.Handler) and one is not handler:
            yield one


def _others() -> Iterator[Row]:
    """Yield a row for a record factory or a logger class that is not the standard library's."""
    factory = logging.getLogRecordFactory()
    if factory is not logging.LogRecord:
        yield Row("record factory", _named(factory), "may set any field on every record; its fields win")
    cls = logging.getLoggerClass()
    if cls is not logging.Logger:
        yield Row("logger class", _named(cls), "of loggers that are made from now on")


def _named(value: object) -> str:
    return printable(f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}")


def _loggers() -> list[logging.Logger]:
    known = logging.Logger.manager.loggerDict
    found = (logger for _, logger in sorted(known.items()))
    return [logging.getLogger(), *(logger for logger in found if isinstance(logger, logging.Logger))]


def _look_at(logger: logging.Logger, handler: logging.Handler, found: Part) -> None:
    """Let a handler format a record, without writing it, and note a field that is missing."""
    where = f"{type(handler).__name__} of the logger {logger.name}"
    filters = [*logger.filters, *handler.filters]
    by = "RequestFields" if any(isinstance(one, RequestFields) for one in filters) else ""
    lacks = _lacks(logger, handler)
    if lacks is None:
        found.rows.append(Row(where, "has what its format asks for", by))
        return
    found.rows.append(Row(where, f"lacks {printable(lacks)}", by))
    found.problems.append(f"the format of {where} asks for {lacks!r}, which nobody puts on records: {_advice(lacks)}")


def _lacks(logger: logging.Logger, handler: logging.Handler) -> str | None:
    """Return the first field that a handler's format uses and a record lacks; ``None`` where it lacks none."""
    record = logging.getLogRecordFactory()(logger.name, logging.INFO, __file__, 0, "a line of the doctor", (), None)
    record.__dict__.update((name, "-") for name in fields_on_lines() if name not in record.__dict__)
    try:
        # Filters set fields on records, too. Whether they drop this record does not matter.
        logger.filter(record)
        handler.filter(record)
        handler.format(record)
    except (KeyError, ValueError) as error:
        named = _MISSING.search(str(error))
        return named[1] if named is not None else None
    except Exception:  # noqa: BLE001 - the application's own code, which may need a request
        return None
    return None


def _advice(lacks: str) -> str:
    if lacks in LOG_FIELDS:
        return f"type log_fields={[*fields_on_lines(), lacks]!r}"
    meant = nearest(lacks, fields_on_lines())
    return (
        f"type {meant}" if meant else "take it out of the format, or name it in log_fields= if it is a tracked variable"
    )
