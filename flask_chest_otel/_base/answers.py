"""Reading an HTTP answer that may come in a way the standard library does not expect: late, in drips, or announced."""

from __future__ import annotations

import http.client
import io
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

__all__ = ["Answered", "Deadline", "Deadlined"]

INTERIM = range(102, 200)
"""Statuses after which the answer is still to come; 101 would end HTTP, and nobody has asked for that."""


class Answered(http.client.HTTPResponse):
    """An answer; those before it (RFC 9110, section 15.2) are passed over, of which the standard library knows one."""

    def begin(self) -> None:
        super().begin()
        while self.status in INTERIM:
            # Whatever is left of it would make the next call believe that all is read.
            self.headers = self.msg = None  # type: ignore[assignment]
            super().begin()


class Deadline:
    """The end of one exchange."""

    def __init__(self) -> None:
        self._until = 0.0

    def set(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def extend(self, seconds: float) -> None:
        """Leave so many seconds at least."""
        self._until = max(self._until, time.monotonic() + seconds)

    def left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not there in time")
        return left


class Deadlined:
    """A socket whose reads and writes, however many, all end at one moment."""

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
        # Keeps the socket open until the answer is read, also when the connection is closed before.
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
