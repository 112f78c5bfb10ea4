"""Log lines that know their request, where ``log_fields`` alone does not reach.

``logging`` needs nothing of this: an application with a :class:`FlaskChest` has the fields on every record. For
handlers that get records before the application is made (gunicorn's own, for example), and for structlog and loguru::

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
    """Puts the fields of the running request on records that lack them, and lets every record pass.

    In ``dictConfig``: ``{"()": "flask_chest_otel.logs.RequestFields"}``; on a logger or on a handler.

    Args:
        fields: Their names; those of ``log_fields`` unless given. Names of tracked variables may stand among them.
    """

    def __init__(self, fields: Sequence[str] = ()) -> None:
        super().__init__()
        self._fields = tuple(fields)

    def filter(self, record: logging.LogRecord) -> bool:
        """Put them on ``record``, where absent."""
        for name, value in fields_of_record(record, self._fields or names_here()).items():
            # A dash may be ours, of an application with other fields.
            if record.__dict__.get(name, ABSENT) == ABSENT:
                record.__dict__[name] = value
        return True


def structlog_processor(
    logger: object,  # noqa: ARG001 - structlog's signature
    method_name: str,  # noqa: ARG001 - structlog's signature
    event_dict: MutableMapping[str, object],
) -> MutableMapping[str, object]:
    """Put the fields of the running request into structlog's event, where absent; a processor for ``configure``."""
    for name, value in fields_here(names_here()).items():
        event_dict.setdefault(name, value)
    return event_dict


def loguru_patcher(record: dict[str, Any]) -> None:
    """Put the fields of the running request into loguru's ``extra``, where absent; for ``configure(patcher=…)``."""
    extra = record["extra"]
    for name, value in fields_here(names_here()).items():
        extra.setdefault(name, value)


def names_here() -> tuple[str, ...]:
    """The fields that the applications of this process ask for."""
    return fields_on_lines() or LOG_FIELDS
