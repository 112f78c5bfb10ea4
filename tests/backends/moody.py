"""A collector with moods: it answers as it is told, hangs, resets, drips, or is somebody else by its certificate.

What it takes is decoded and kept by an `OtlpReceiver`; every attempt is counted, also those that come to nothing.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from tests.backends.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self


class Moody:
    """An OTLP/HTTP server whose `mood` may be changed while it runs.

    Args:
        certificate: Speak TLS with this certificate and its key, in one file.
        clients: Speak only with clients that have one of these certificates.

    Attributes:
        mood: `ok`; `hang`: never answer; `reset`: cut the connection; `drip`: one byte of the answer per 0.1 s;
            or a status.
        headers: Sent with a status.
        body: Sent with a status, and with `partial` as a success.
        most_bytes: Larger requests are answered with 413, whatever the mood; as they are on the wire.
        disliked: Requests that have this in them are answered with 403, whatever the mood.
        sizes: How large each request was, bytes.
        attempts: When each request came, by the monotonic clock, seconds.
        receiver: What was taken.
    """

    def __init__(
        self,
        mood: str | int = "ok",
        *,
        certificate: Path | None = None,
        clients: Path | None = None,
        port: int = 0,
    ) -> None:
        self.mood = mood
        self.headers: dict[str, str] = {}
        self.body = b""
        self.most_bytes: int | None = None
        self.disliked: bytes | None = None
        self.sizes: list[int] = []
        self.attempts: list[float] = []
        self.receiver = OtlpReceiver()
        self.released = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.moody = self
        self.port: int = self._server.server_address[1]
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            if clients is not None:
                context.load_verify_locations(clients)
                context.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.receiver.__enter__()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self.receiver.stop()

    def wait_for_attempts(self, count: int, timeout_s: float = 10.0) -> None:
        """Wait until so many requests have come.

        Raises:
            TimeoutError: They did not come in time.
        """
        deadline = time.monotonic() + timeout_s
        while len(self.attempts) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.attempts)} of {count} attempts in {timeout_s} s")
            time.sleep(0.01)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    moody: Moody

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay quiet: clients that give up are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        moody = self.server.moody
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        moody.attempts.append(time.monotonic())
        moody.sizes.append(len(body))
        mood = moody.mood
        if moody.most_bytes is not None and len(body) > moody.most_bytes:
            self._answer(413, b"", {})
        elif moody.disliked is not None and moody.disliked in body:
            self._answer(403, b"", {})
        elif mood == "hang":
            moody.released.wait(60)
            self.close_connection = True
        elif mood == "reset":
            self._reset()
        elif isinstance(mood, int):
            self._answer(mood, moody.body, moody.headers)
        elif mood == "partial":
            moody.receiver.take(self.path, self._given(), body)
            self._answer(200, moody.body, {})
        elif mood == "drip":
            self._drip()
        else:
            self._answer(*moody.receiver.take(self.path, self._given(), body), {})

    def _given(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        # No time to linger: what follows is RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _drip(self) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b" " * 100:
            if self.server.moody.mood != "drip" or self.server.moody.released.is_set():
                break
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.1)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Keep the test's output readable."""
