"""Adds the fields of the running request to log lines that the setting ``log_fields`` does not reach.

With ``logging``, an application with a :class:`FlaskChest` has the fields on every record and needs nothing from this
module. Handlers that get records before the application is made (gunicorn's own, for example), structlog and loguru
need these::

    "filters": {"request": {"()": "flask_chest_otel.logs.RequestFields"}}
    structlog.configure(processors=[structlog_processor, structlog.processors.JSONRenderer()])
    loguru.logger.configure(patcher=loguru_patcher)
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from flask_chest_otel._logs.fields import ABSENT
from flask_chest_otel._logs.stdlib import fields_here, fields_of_record, fields_on_lines
from flask_chest_otel.names import LOG_FIELDS

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

__all__ = ["RequestFields", "loguru_patcher", "structlog_processor"]


class RequestFields(logging.Filter):
    """A logging filter that adds the fields of the running request to records that lack them; every record passes.

    Add it to a logger or to a handler; in ``dictConfig``: ``{"()": "flask_chest_otel.logs.RequestFields"}``.

    Args:
        fields: The names of the fields, which may include names of tracked variables; by default those of
            ``log_fields``.
    """

    def __init__(self, fields: Sequence[str] = ()) -> None:
        super().__init__()
        self._fields = tuple(fields)

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the fields that ``record`` lacks."""
        for name, value in fields_of_record(record, self._fields or names_here()).items():
            # A dash counts as absent: it may come from an application with other fields.
            if record.__dict__.get(name, ABSENT) == ABSENT:
                record.__dict__[name] = value
        return True


def structlog_processor(
    logger: object,  # noqa: ARG001 - structlog's signature
    method_name: str,  # noqa: ARG001 - structlog's signature
    event_dict: MutableMapping[str, object],
) -> MutableMapping[str, object]:
    """Add the fields of the running request to structlog's event; a processor for ``structlog.configure``."""
    for name, value in fields_here(names_here()).items():
        event_dict.setdefault(name, value)
    return event_dict


def loguru_patcher(record: dict[str, Any]) -> None:
    """Add the fields of the running request to loguru's ``extra``; for ``logger.configure(patcher=…)``."""
    extra = record["extra"]
    for name, value in fields_here(names_here()).items():
        extra.setdefault(name, value)


def names_here() -> tuple[str, ...]:
    """The fields that the applications of this process want."""
    return fields_on_lines() or LOG_FIELDS
