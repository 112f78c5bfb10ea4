"""Posts OTLP over HTTP through one connection that stays open.

It uses the standard library's client for two reasons: the session of OpenTelemetry's own exporter is private, and here
each post has one deadline, however slowly the bytes of an answer arrive.
"""

from __future__ import annotations

import gzip
import http.client
import ipaddress
import urllib.request
import zlib
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from flask_chest_otel._base.answers import Answered, Deadline, Deadlined
from flask_chest_otel._base.retry import retry_after_s
from flask_chest_otel._guard import printable
from flask_chest_otel._otlp.certificates import context_for
from flask_chest_otel._otlp.client import PostResult, in_short, speaks_of_size, success, unanswered, words
from flask_chest_otel._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from urllib.parse import SplitResult

    from flask_chest_otel._otlp.client import OtlpEndpoint

__all__ = ["HttpClient"]

ANSWER_BYTES = 64 * 1024
"""How many bytes of an answer are read."""

TRY_AGAIN = frozenset({408, 429, 502, 503, 504})
"""Statuses that the OTLP specification calls retryable, and 408, which proxies send."""

DENIED = frozenset({401, 403, 407})
"""Statuses that refuse the caller: the token is wrong, or it is not allowed yet."""

TOO_LARGE = 413
"""Status for a request that is too large; a smaller one may be taken."""

EARLY_ANSWER_S = 0.2
"""How long to wait for an answer after sending failed or used up the whole time-out, seconds."""

_COMPRESS: dict[str, Callable[[bytes], bytes]] = {"none": bytes, "gzip": gzip.compress, "deflate": zlib.compress}


class HttpClient:
    """A connection to an HTTP server.

    Args:
        address: The server, and how to send to it.
    """

    def __init__(self, address: OtlpEndpoint) -> None:
        self._address = address
        self._parts = urlsplit(address.url)
        self._connection: http.client.HTTPConnection | None = None
        self._deadline = Deadline()
        self._proxy = _proxy(self._parts)
        path = self._parts.path or "/"
        self._path = f"{path}?{self._parts.query}" if self._parts.query else path
        to_proxy: dict[str, str] = {}
        if self._proxy is not None and self._parts.scheme == "http":
            self._path = f"http://{self._parts.netloc.rpartition('@')[2]}{self._path}"
            to_proxy = _credentials("Proxy-Authorization", self._proxy)
        self._headers = {
            **to_proxy,
            # In lower case like the headers of the environment, so that those override it below.
            **_credentials("authorization", self._parts),
            "User-Agent": f"flask_chest_otel/{__version__}",
            "Content-Type": "application/x-protobuf",
            **({} if address.compression == "none" else {"Content-Encoding": address.compression}),
            **dict(address.headers),
        }

    def post(self, body: bytes) -> PostResult:
        """Post one OTLP request. Errors are part of the result and are not raised."""
        try:
            return self._post(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return unanswered(error)

    def _post(self, body: bytes) -> PostResult:
        body = _COMPRESS[self._address.compression](body)
        self._deadline.set(self._address.timeout_s)
        was_open = self._connection is not None
        try:
            return self._exchange(body)
        except ConnectionError:
            # A server may have closed an idle connection; the client notices only now. Try once more with a new one.
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
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def give_up(self) -> bool:
        """Return ``False``: the thread that posts waits for a socket, which no other thread may close."""
        return False

    def _exchange(self, body: bytes) -> PostResult:
        if self._connection is None:
            self._connection = self._connect()
        connection = self._connection
        try:
            connection.request("POST", self._path, body, self._headers)
        except OSError as error:
            return self._early_answer(connection, error)
        response = connection.getresponse()
        content = response.read(ANSWER_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        return self._answer(response, content)

    def _early_answer(self, connection: http.client.HTTPConnection, error: OSError) -> PostResult:
        """Return the answer of a server that stopped reading the request, for example because it is too large."""
        self._deadline.extend(EARLY_ANSWER_S)
        try:
            response = connection.getresponse()
            content = response.read(ANSWER_BYTES)
        except (OSError, http.client.HTTPException, ValueError) as unheard:
            # A TLS alert, for example about the client's certificate, says more than the error of sending.
            alert = "ALERT" in str(getattr(unheard, "reason", ""))
            raise unheard if alert else error from None
        self.close()
        return self._answer(response, content)

    def _connect(self) -> http.client.HTTPConnection:
        parts, timeout_s = self._parts, self._deadline.left()
        first = self._proxy or parts
        connection: http.client.HTTPConnection
        if self._address.encrypted:
            connection = http.client.HTTPSConnection(
                first.hostname or "", first.port, timeout=timeout_s, context=context_for(self._address)
            )
            if self._proxy is not None:
                connection.set_tunnel(
                    parts.hostname or "", parts.port, _credentials("Proxy-Authorization", self._proxy)
                )
        else:
            connection = http.client.HTTPConnection(first.hostname or "", first.port, timeout=timeout_s)
        connection.response_class = Answered
        connection.connect()
        connection.sock = Deadlined(connection.sock, self._deadline)
        return connection

    def _answer(self, response: http.client.HTTPResponse, content: bytes) -> PostResult:
        content_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        status = str(response.status)
        if http.client.OK <= response.status < http.client.MULTIPLE_CHOICES:
            return success(self._address.signal, status, content_type, content)
        says = words(content_type, content)
        retryable = response.status in TRY_AGAIN
        return PostResult(
            taken=False,
            retryable=retryable,
            status=status,
            # Many error pages repeat the status at their beginning.
            says=in_short(says.removeprefix(status)) or printable(response.reason),
            retry_after_s=retry_after_s(response.getheader("Retry-After")),
            # The collector itself answers 400 with a message about the size.
            too_large=response.status == TOO_LARGE or (not retryable and speaks_of_size(says)),
            denied=response.status in DENIED,
        )


def _proxy(parts: SplitResult) -> SplitResult | None:
    """Return the proxy of an address from ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``; ``None``: none."""
    proxies = urllib.request.getproxies()
    named = proxies.get(parts.scheme)
    if (
        not named
        or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2])
        or _is_among(parts.hostname or "", proxies.get("no", ""))
    ):
        return None
    return urlsplit(named if "://" in named else f"http://{named}")


def _is_among(host: str, exceptions: str) -> bool:
    """Whether ``NO_PROXY`` has an IP address or a network that contains it.

    The standard library does not match networks, nor addresses of IPv6.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for text in exceptions.split(","):
        with suppress(ValueError):  # a name
            if address in ipaddress.ip_network(text.strip().strip("[]"), strict=False):
                return True
    return False


def _credentials(header: str, parts: SplitResult) -> dict[str, str]:
    """Return user and password of an address as a header of basic authentication."""
    if parts.username is None:
        return {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {header: f"Basic {b64encode(user.encode()).decode()}"}
