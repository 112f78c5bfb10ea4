"""Read HTTP responses that the standard library reads badly: slow ones, and those after interim responses (1xx)."""

from __future__ import annotations

import http.client
import io
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

__all__ = ["Answered", "Deadline", "Deadlined"]

INTERIM = range(102, 200)
"""Statuses of interim responses: another response follows. 101 is left out: it would end HTTP on the connection."""


class Answered(http.client.HTTPResponse):
    """An HTTP response that skips all interim responses before it; the standard library skips only 100.

    See RFC 9110, section 15.2.
    """

    def begin(self) -> None:
        super().begin()
        while self.status in INTERIM:
            # With the headers of the interim response still set, begin() would return at once.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


class Deadline:
    """The moment at which one request and its response must be complete, on the monotonic clock."""

    def __init__(self) -> None:
        self._until = 0.0

    def set(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def extend(self, seconds: float) -> None:
        """Move the end, where needed, so that at least ``seconds`` remain."""
        self._until = max(self._until, time.monotonic() + seconds)

    def left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not there in time")
        return left


class Deadlined:
    """A socket with one deadline for all its reads and writes together."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(self._deadline.left())
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._sock, self._deadline))

    def close(self) -> None:
        self._sock.close()


class _Reader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        # The file object keeps the socket open until the response is read, even if the connection closes before.
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
