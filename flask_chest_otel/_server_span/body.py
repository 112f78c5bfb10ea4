"""Wraps a response body that is made while it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from flask_chest_otel._base.process import current_process
from flask_chest_otel._records import abandoned

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextvars import Token

    from opentelemetry.context import Context

    from flask_chest_otel._server_span.served import ServedRequest

__all__ = ["Body"]


class Body:
    """Wraps the application's body: the server span is current while a piece is made, and ends with the body."""

    __slots__ = ("_begun", "_body", "_context", "_iterator", "_process", "_span")

    def __init__(self, body: Any, server_span: ServedRequest, context: Context) -> None:
        self._begun = False
        self._body = body
        self._context = context
        self._iterator: Iterator[object] | None = None
        self._span = server_span
        self._process = current_process()
        abandoned.expect()

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> object:
        __traceback_hide__ = True
        server_span = self._span
        token = self._resume()
        try:
            if self._iterator is None:
                self._iterator = iter(self._body)
            piece = next(self._iterator)
            server_span.send()
            self._begun = True
            return piece  # noqa: TRY300 - the application's body may raise anything
        except StopIteration:
            server_span.end()
            raise
        except BaseException as error:
            if not self._begun:
                server_span.unsent()
            server_span.fail(error)
            server_span.end()
            raise
        finally:
            otel_context.detach(token)

    def close(self) -> None:
        """Close the body and end the span. Every WSGI server must call it (PEP 3333), even if the client has gone."""
        __traceback_hide__ = True
        server_span = self._span
        token = self._resume()
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        except BaseException as error:
            server_span.fail(error)
            raise
        finally:
            otel_context.detach(token)
            server_span.end()

    def _resume(self) -> Token[Context]:
        """Make the span current while a piece of the body is made."""
        return otel_context.attach(self._context)

    def __del__(self) -> None:
        # End the span even if a server does not call close().
        if not self._span.ended:
            abandoned.abandon(self._span, self._process)
