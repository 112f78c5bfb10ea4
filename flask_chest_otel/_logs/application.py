"""The handling of log lines for one application."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from flask import request

from flask_chest_otel._logs import stdlib
from flask_chest_otel._logs.fields import LogFields, request_is_over
from flask_chest_otel._logs.lines import LogLines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask_chest_otel._records.router import ChestRouter
    from flask_chest_otel._request.live import LiveRequest
    from flask_chest_otel._request.reader import ValueReader
    from flask_chest_otel.config import ChestConfig

__all__ = ["RequestLogs", "names_for"]


def names_for(config: ChestConfig, sources: Mapping[str, str], *, quiet: bool) -> tuple[str, ...]:
    """The fields of log lines; by default none where the application is instrumented without code."""
    return () if quiet and "log_fields" not in sources else config.log_fields


class RequestLogs(LogFields):
    """Adds fields to log lines, and collects log lines for records; one object per application.

    Args:
        config: The application's settings.
        sources: The source of each setting.
        reader: Reads the values of the application's variables.
        router: Gets the chest that writes a line for each request, and knows whether a chest keeps log lines.
        quiet: Whether the application is instrumented without code.
    """

    def __init__(
        self, config: ChestConfig, sources: Mapping[str, str], reader: ValueReader, router: ChestRouter, *, quiet: bool
    ) -> None:
        super().__init__(names_for(config, sources, quiet=quiet), reader)
        # Extensions are never removed, so extensions with the same fields share one entry.
        self._user: object = object() if quiet else self.names
        self._router = router
        self._stores = config.store_logs
        if config.request_log is not None:
            from flask_chest_otel._logs.request_log import RequestLog  # noqa: PLC0415 - few applications ask for it

            router.add(RequestLog(config.request_log, self.variables))

    def put_on(self) -> None:
        """Add the fields to every log line from now on."""
        stdlib.put_fields(self._user, self.names)

    def listen(self) -> None:
        """Collect log lines from now on, if a chest keeps them."""
        if self._stores and self._router.keeps_logs:
            stdlib.listen(self._user)

    def take_off(self) -> None:
        """Undo :meth:`put_on` and :meth:`listen`."""
        stdlib.leave(self._user)

    def begin(self, live: LiveRequest) -> None:
        """Begin to handle the log lines of a request; its id is known from now on."""
        live.logs = self
        if self._stores and self._router.keeps_logs:
            rule = live.secret_rule
            live.log_lines = LogLines((request.path, quote(request.path)), rule) if rule is not None else LogLines()

    def finish(self, live: LiveRequest) -> None:
        """Remember a finished request for the line that the server still writes about it."""
        request_is_over(live)
        if live.outer is not None:
            live.outer.log_fields = None  # the teardown functions that come next log for this request
