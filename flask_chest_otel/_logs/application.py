"""What one application does with the log lines of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    """The fields of log lines; none by default where the application has no code of ours."""
    return () if quiet and "log_fields" not in sources else config.log_fields


class RequestLogs(LogFields):
    """Fields on lines, and lines on records; one per application.

    Args:
        config: The application's settings.
        sources: Where each of them comes from.
        reader: Reads the values of its variables.
        router: Gets the line of each request, and knows whether a chest keeps others.
        quiet: Whether the application has no code of ours.
    """

    def __init__(
        self, config: ChestConfig, sources: Mapping[str, str], reader: ValueReader, router: ChestRouter, *, quiet: bool
    ) -> None:
        super().__init__(names_for(config, sources, quiet=quiet), reader)
        # An extension stays on its application for ever: several with the same fields are one.
        self._user: object = object() if quiet else self.names
        self._router = router
        self._stores = config.store_logs
        if config.request_log is not None:
            from flask_chest_otel._logs.request_log import RequestLog  # noqa: PLC0415 - few applications ask for it

            router.add(RequestLog(config.request_log))

    def put_on(self) -> None:
        """Fields stand on every line from now on."""
        stdlib.put_fields(self._user, self.names)

    def listen(self) -> None:
        """Lines are collected from now on, if a chest keeps any."""
        if self._stores and self._router.keeps_logs:
            stdlib.listen(self._user)

    def take_off(self) -> None:
        """Undo both."""
        stdlib.leave(self._user)

    def begin(self, live: LiveRequest) -> None:
        """The request's id can be told from here on."""
        live.logs = self
        if self._stores and self._router.keeps_logs:
            live.log_lines = LogLines()

    def finish(self, live: LiveRequest) -> None:
        """The request is over, but for what the server writes of it."""
        request_is_over(live)
