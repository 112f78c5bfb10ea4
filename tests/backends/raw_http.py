"""A server that says, byte by byte, what a test wants: what HTTP libraries do not do by themselves."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    Talk = Callable[[socket.socket], None]


class RawHttp:
    """Has `talk` speak on each connection, and closes it then; what is unread makes that a reset.

    Args:
        talk: What is read and said on one connection.
        host: Where to listen.
        certificate: Speak TLS with this certificate and its key, in one file.

    Attributes:
        talk: As given; may be changed.
        connections: How many there were.
    """

    def __init__(self, talk: Talk, *, host: str = "127.0.0.1", certificate: Path | None = None) -> None:
        self.talk = talk
        self.connections = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._server = socket.create_server((host, 0), family=family)
        self.port: int = self._server.getsockname()[1]
        self.url = f"{'http' if certificate is None else 'https'}://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(1.0)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            try:
                connection.settimeout(10)
                with (
                    self._context.wrap_socket(connection, server_side=True) if self._context else connection as talking
                ):
                    self.talk(talking)
            except OSError:
                continue


def head_of(connection: socket.socket) -> dict[str, str]:
    """Read a request's head, and not a byte of its body; its headers, names in lower case."""
    read = bytearray()
    while not read.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionResetError
        read += byte
    lines = read.decode("latin-1").split("\r\n")[1:-2]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def request_of(connection: socket.socket) -> bytes:
    """Read a whole request; its body."""
    left = int(head_of(connection)["content-length"])
    body = bytearray()
    while len(body) < left:
        piece = connection.recv(left - len(body))
        if not piece:
            raise ConnectionResetError
        body += piece
    return bytes(body)
