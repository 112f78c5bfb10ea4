"""What the server span has to know of the request that it is made for, and says to it."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["ServedRequest"]


class _Place(Protocol):
    """Where a request goes."""

    @property
    def route(self) -> str | None:
        """The matched rule, below the application's root; ``None`` where there is none."""

    @property
    def chests_text(self) -> str | None:
        """Its destinations, as they stand on spans; ``None``: everywhere."""


class ServedRequest(Protocol):
    """A request while it runs; the server span puts itself on it."""

    method: str
    status: int
    start_unix_ns: int
    start_s: float
    span: Any
    context: Any
    server_span: Any
    at_border: bool
    stands_in: bool

    @property
    def plan(self) -> _Place:
        """What there is to do for it."""
