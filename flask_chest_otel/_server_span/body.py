"""A response's body that is made while it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask_chest_otel._base.process import current_process
from flask_chest_otel._records import abandoned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel._server_span.span import ServerSpan

__all__ = ["Body"]


class Body:
    """The application's body: the span is current inside it, and ends with it."""

    __slots__ = ("_body", "_iterator", "_process", "_span")

    def __init__(self, body: Any, server_span: ServerSpan) -> None:
        self._body = body
        self._iterator: Iterator[Any] | None = None
        self._span = server_span
        self._process = current_process()
        abandoned.expect()

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> Any:
        server_span = self._span
        token = server_span.resume()
        try:
            if self._iterator is None:
                self._iterator = iter(self._body)
            return next(self._iterator)
        except StopIteration:
            server_span.end()
            raise
        except BaseException as error:
            server_span.fail(error)
            server_span.end()
            raise
        finally:
            server_span.pause(token)

    def close(self) -> None:
        """End the body, as every WSGI server must; a client may have gone before the last byte."""
        server_span = self._span
        token = server_span.resume()
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            server_span.fail(error)
            raise
        finally:
            server_span.pause(token)
            server_span.end()

    def __del__(self) -> None:
        # A server that forgets close() must not keep the request open for ever.
        if not self._span.ended:
            abandoned.abandon(self._span, self._process)
