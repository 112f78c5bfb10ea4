"""Where OTLP goes over HTTP: what the standard variables say, and one connection that posts to it.

The standard library's client, as the session of OpenTelemetry's own exporter is private; and as one post has one
deadline here, however slowly an answer drips in.
"""

from __future__ import annotations

import gzip
import http.client
import io
import ssl
import time
import urllib.request
import zlib
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.util.re import parse_env_headers

from flask_chest_otel._export._endpoint import url_of
from flask_chest_otel._guard import printable
from flask_chest_otel._retry_after import retry_after_s
from flask_chest_otel._version import __version__
from flask_chest_otel.chests._direct import shown_url
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

__all__ = ["Address", "Answer", "Target", "address_of"]

ANSWER_BYTES = 64 * 1024
"""How much of an answer is read."""

SHOWN_CHARS = 200
"""How much of what a collector says is shown and kept."""

_COMPRESS: dict[str, Callable[[bytes], bytes]] = {"none": bytes, "gzip": gzip.compress, "deflate": zlib.compress}


@dataclass(frozen=True, slots=True)
class Address:
    """Where one signal goes, and how.

    Attributes:
        signal: ``traces`` or ``metrics``.
        url: The full URL.
        headers: Sent with each post; they may hold keys.
        timeout_s: How long one post may take, seconds.
        compression: ``none``, ``gzip`` or ``deflate``.
        certificate: File of certificates to check the server's with; the system's unless given.
        client_certificate: File of a certificate of our own, and that of its key.
    """

    signal: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout_s: float = 10.0
    compression: str = "none"
    certificate: str | None = None
    client_certificate: tuple[str, str | None] | None = None

    @property
    def shown(self) -> str:
        """The URL without what may be a password."""
        return shown_url(self.url)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the collector said.

    Attributes:
        status: The HTTP status.
        says: Its words, shortened.
        retry_after_s: How long it wants to be left alone, seconds.
        rejected: Items that it did not take although it took the rest.
    """

    status: int
    says: str
    retry_after_s: float | None
    rejected: int


def address_of(signal: str, environ: Mapping[str, str]) -> Address:
    """What ``OTEL_EXPORTER_OTLP_…`` says about ``signal``; its own variables beat the general ones.

    Raises:
        ChestConfigError: A variable cannot be used.
    """

    def given(name: str) -> str | None:
        own = environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}")
        return (own or environ.get(f"OTEL_EXPORTER_OTLP_{name}") or "").strip() or None

    certificate = given("CLIENT_CERTIFICATE")
    return Address(
        signal=signal,
        url=url_of(signal, environ),
        headers=tuple(parse_env_headers(given("HEADERS") or "", liberal=True).items()),
        timeout_s=_seconds(given("TIMEOUT")),
        compression=_compression(given("COMPRESSION")),
        certificate=given("CERTIFICATE"),
        client_certificate=(certificate, given("CLIENT_KEY")) if certificate else None,
    )


class Target:
    """One connection, kept open between posts; used by one thread.

    Args:
        address: Where to.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._parts = urlsplit(address.url)
        self._connection: http.client.HTTPConnection | None = None
        self._deadline = _Deadline()
        self._proxy = _proxy(self._parts)
        path = self._parts.path or "/"
        self._path = f"{path}?{self._parts.query}" if self._parts.query else path
        to_proxy: dict[str, str] = {}
        if self._proxy is not None and self._parts.scheme == "http":
            self._path = f"http://{self._parts.netloc.rpartition('@')[2]}{self._path}"
            to_proxy = _proxy_headers(self._proxy)
        self._headers = {
            **to_proxy,
            "User-Agent": f"flask_chest_otel/{__version__}",
            "Content-Type": "application/x-protobuf",
            **({} if address.compression == "none" else {"Content-Encoding": address.compression}),
            **dict(address.headers),
        }

    def post(self, body: bytes) -> Answer:
        """Post one OTLP request.

        Raises:
            OSError: Nobody answered in time, or not to us: refused, reset, hanging, a certificate of somebody else.
            http.client.HTTPException: What answered does not speak HTTP.
        """
        body = _COMPRESS[self.address.compression](body)
        self._deadline.set(self.address.timeout_s)
        was_open = self._connection is not None
        try:
            return self._exchange(body)
        except ConnectionError:
            # A server may close a connection that lay idle, and that shows only when it is used again.
            self.close()
            if not was_open:
                raise
        except BaseException:
            self.close()
            raise
        try:
            return self._exchange(body)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def _exchange(self, body: bytes) -> Answer:
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        connection.request("POST", self._path, body, self._headers)
        response = connection.getresponse()
        content = response.read(ANSWER_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        return self._answer(response, content)

    def _connect(self) -> http.client.HTTPConnection:
        parts, timeout_s = self._parts, self._deadline.left()
        first = self._proxy or parts
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = self._tls()
            connection = http.client.HTTPSConnection(
                first.hostname or "", first.port, timeout=timeout_s, context=context
            )
            if self._proxy is not None:
                connection.set_tunnel(parts.hostname or "", parts.port, _proxy_headers(self._proxy))
        else:
            connection = http.client.HTTPConnection(first.hostname or "", first.port, timeout=timeout_s)
        connection.connect()
        connection.sock = _Deadlined(connection.sock, self._deadline)
        return connection

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.address.certificate)
        if self.address.client_certificate is not None:
            context.load_cert_chain(*self.address.client_certificate)
        return context

    def _answer(self, response: http.client.HTTPResponse, content: bytes) -> Answer:
        rejected, says = 0, ""
        if response.status < http.client.MULTIPLE_CHOICES:
            rejected, says = _partial_success(self.address.signal, content)
        elif (response.getheader("Content-Type") or "").startswith(("text/", "application/json")):
            says = content[: SHOWN_CHARS * 4].decode("utf-8", "replace")
        says = " ".join(part for part in says.split() if part.isprintable())[:SHOWN_CHARS]
        retry_after = retry_after_s(response.getheader("Retry-After"))
        return Answer(response.status, says or printable(response.reason), retry_after, rejected)


class _Deadline:
    """The end of one post."""

    def __init__(self) -> None:
        self._until = 0.0

    def set(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not there in time")
        return left


class _Deadlined:
    """A socket whose reads and writes, however many, all end at one moment."""

    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
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
    def __init__(self, sock: socket.socket, deadline: _Deadline) -> None:
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


def _partial_success(signal: str, content: bytes) -> tuple[int, str]:
    response: Any = ExportTraceServiceResponse() if signal == "traces" else ExportMetricsServiceResponse()
    try:
        response.ParseFromString(content)
    except Exception:  # noqa: BLE001 - some back ends answer 200 with JSON or nothing: they took it
        return 0, ""
    partial = response.partial_success
    rejected = partial.rejected_spans if signal == "traces" else partial.rejected_data_points
    return int(rejected), str(partial.error_message)


def _proxy(parts: SplitResult) -> SplitResult | None:
    """The proxy that the environment names for an address."""
    named = urllib.request.getproxies().get(parts.scheme)
    if not named or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    user = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(user.encode()).decode()}"}


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text) if text else 10.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ChestConfigError("OTEL_EXPORTER_OTLP_TIMEOUT", text, "a number of seconds greater than 0")
    return seconds


def _compression(text: str | None) -> str:
    name = (text or "none").lower()
    if name not in _COMPRESS:
        raise ChestConfigError("OTEL_EXPORTER_OTLP_COMPRESSION", text, "none, gzip or deflate")
    return name
