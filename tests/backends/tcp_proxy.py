"""A proxy between a client and a server that breaks what goes through it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class TcpProxy:
    """Passes everything on to a port of this machine, unless it is told otherwise.

    Args:
        to: That port.

    Attributes:
        port: Where it listens.
        instead: What is said on new connections in place of what the server would say; they end then.
        answers: After so many bytes of the server's, new connections end; ``None``: they do not.
    """

    def __init__(self, to: int) -> None:
        self.instead: bytes | None = None
        self.answers: int | None = None
        self._to = to
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """End all connections that there are."""
        found, self._open = self._open, []
        for connection in found:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                if self.instead is not None:
                    with suppress(OSError), client:
                        client.sendall(self.instead)
                    continue
                server = socket.create_connection(("127.0.0.1", self._to))
                self._open += [client, server]
                for pair in ((client, server, None), (server, client, self.answers)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        with suppress(OSError):
            while left != 0 and (piece := source.recv(65536 if left is None else left)):
                target.sendall(piece)
                left = None if left is None else left - len(piece)
        for connection in (source, target):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
