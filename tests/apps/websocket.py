"""A web socket's client: a handshake, texts out and in, a close; only what the tests of applications need."""

from __future__ import annotations

import base64
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import BinaryIO

__all__ = ["talk"]

_TEXT, _CLOSE = 0x1, 0x8
_LAST = 0x80
_MASKED = 0x80
_SHORT = 125
_TWO_BYTES = 126


def talk(
    port: int, path: str, says: Iterable[str], headers: Mapping[str, str], heard: Callable[[str], None]
) -> tuple[int, list[str]]:
    """Open a web socket, say one text after the other, close it.

    Args:
        port: Of 127.0.0.1.
        path: With its query.
        says: Texts; after each one answer is waited for. ``""`` says nothing and waits.
        headers: Beside those of the handshake.
        heard: Called with each text that comes.

    Returns:
        The status of the handshake, and what the other side said.
    """
    answers: list[str] = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        stream = connection.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        named = {"Host": f"127.0.0.1:{port}", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key}
        lines = [f"{name}: {value}" for name, value in {**named, "Sec-WebSocket-Version": "13", **headers}.items()]
        connection.sendall("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())
        status = int(stream.readline().split()[1])
        while stream.readline().strip():
            pass
        if status == 101:
            for text in says:
                if text:
                    connection.sendall(_frame(_TEXT, text.encode()))
                answers.append(_read(stream))
                heard(answers[-1])
            connection.sendall(_frame(_CLOSE, (1000).to_bytes(2, "big")))
            while _read(stream):
                pass
    return status, answers


def _frame(kind: int, payload: bytes) -> bytes:
    """One frame of a client, which has to be masked: with zeros, it stays as it is."""
    size = len(payload)
    head = bytes([size | _MASKED]) if size <= _SHORT else bytes([_TWO_BYTES | _MASKED]) + size.to_bytes(2, "big")
    return bytes([_LAST | kind]) + head + bytes(4) + payload


def _read(stream: BinaryIO) -> str:
    """The next text; ``""`` where the other side closes."""
    head = stream.read(2)
    if not head:
        return ""
    kind, size = head
    if size == _TWO_BYTES:
        size = int.from_bytes(stream.read(2), "big")
    payload = stream.read(size)
    return payload.decode() if kind & 0xF == _TEXT else ""
