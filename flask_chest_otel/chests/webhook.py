"""``WebhookChest``: posts variables as JSON to an HTTP address."""

from __future__ import annotations

import json
import re
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask_chest_otel._base.addresses import shown_address
from flask_chest_otel._base.lazy import library
from flask_chest_otel._base.retry import retry_after_s
from flask_chest_otel._guard import Log
from flask_chest_otel._records.delivery import AwayError
from flask_chest_otel._version import __version__
from flask_chest_otel.chests.direct import (
    CAPACITY,
    TEN_MINUTES_S,
    DirectChest,
    checked_number,
)
from flask_chest_otel.chests.http_adapter import Adapter
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import requests
    from urllib3.exceptions import InsecureRequestWarning

    from flask_chest_otel._records.record import RequestRecord
else:
    requests = library("requests", "flask-chest-otel[webhook]")
    InsecureRequestWarning = library("urllib3.exceptions", "flask-chest-otel[webhook]").InsecureRequestWarning

__all__ = ["WebhookChest", "as_list"]

logger = Log(__name__)

ENTRY_REFUSED = frozenset({400, 413, 422})
"""Statuses that refuse the content: trying again cannot help, posting each request alone may."""

READ_BYTES = 4096
"""How many bytes of an answer are read; after a longer answer the connection is closed."""

SHOWN_CHARS = 200
"""How many characters of an answer a log line shows."""


def as_list(entries: list[tuple[str, object, str]]) -> object:
    """Return the default payload: ``{"variables": [{"name": …, "value": …, "request_id": …}, …]}``.

    Args:
        entries: Name, value and request id of each variable.
    """
    return {
        "variables": [
            {"name": name, "value": _without_nan(value), "request_id": request_id}
            for name, value, request_id in entries
        ]
    }


class WebhookChest(DirectChest):
    """Posts the variables of finished requests as JSON.

    Each post has the variables of all requests that finished since the last one. After an answer without success the
    post is tried again, not before the time in ``Retry-After`` (RFC 9110; at most 300 seconds), so an entry may arrive
    twice. After 400, 413 or 422 the variables of each request are posted alone; those that are refused then are lost
    and counted. Redirects are not followed. Making the chest opens no connection: its own thread posts, and an
    unreachable server does not slow down the application.

    Args:
        url: The address to post to.
        name: Name of the chest, which routes use in ``chests=``.
        payload_generator: Function that gets the list of ``(name, value, request_id)`` and returns what to post as
            JSON, or ``None`` to post nothing. The chest's thread calls it, outside of any request.
        headers: HTTP headers of each post.
        params: Query parameters that are added to the URL.
        proxies: Proxies by scheme, as ``requests`` takes them; ``None``: those of the environment variables.
        verify: Whether to check the server's certificate; or the path of a file with certificates to check it with.
        success_status_codes: Statuses that mean success.
        timeout_s: How long connecting may take, then the begin of the answer, then all of it, seconds each.
        capacity: How many requests may wait; further ones are dropped and counted.
        retry_for_s: How long one batch is tried again while the server is unreachable, seconds.

    Raises:
        ChestConfigError: An argument cannot be used; the message says what to type.
        ModuleNotFoundError: requests is not installed; the message says what to type.
    """

    def __init__(  # noqa: PLR0913 - HTTP back ends differ in each of these; all are keyword arguments
        self,
        url: str,
        *,
        name: str = "webhook",
        payload_generator: Callable[[list[tuple[str, object, str]]], object] = as_list,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        proxies: Mapping[str, str] | None = None,
        verify: bool | str = True,
        success_status_codes: Collection[int] = (200, 201, 202, 204),
        timeout_s: float = 10.0,
        capacity: int = CAPACITY,
        retry_for_s: float = TEN_MINUTES_S,
    ) -> None:
        if not callable(payload_generator):
            raise ChestConfigError("payload_generator", payload_generator, "a function of a list of tuples")
        address = _Address(
            url=_checked_url(url),
            headers={"User-Agent": f"flask_chest_otel/{__version__}", **(headers or {})},
            params=dict(params or {}),
            proxies=dict(proxies or {}),
            verify=verify,
            success=_checked_codes(success_status_codes),
            timeout_s=checked_number("timeout_s", timeout_s),
        )
        open_writer = partial(_WebhookWriter, address, payload_generator)
        super().__init__(name, _origin(url), open_writer, capacity=capacity, retry_for_s=retry_for_s)
        if verify is False:
            logger.warning(
                "flask_chest: chest %r does not check whom it posts to (verify=False): anybody on the way can read and"
                " change it; for a certificate of your own give its path: verify='/path/ca.pem'",
                name,
            )


@dataclass(frozen=True, slots=True)
class _Address:
    """The address to post to, and how to post."""

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)
    proxies: dict[str, str] = field(repr=False)
    verify: bool | str
    success: frozenset[int]
    timeout_s: float


class _WebhookWriter:
    """The writer thread's session of ``requests``."""

    def __init__(self, address: _Address, payload_generator: Callable[[list[tuple[str, object, str]]], object]) -> None:
        self._address = address
        self._payload_generator = payload_generator
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, Adapter())
        if address.verify is False:
            _say_no_more(address.url)

    def write(self, records: list[RequestRecord]) -> None:
        body = self._body(records)
        if body is None:
            return
        try:
            status, text, retry_after = self._post(body)
        except requests.RequestException as error:
            # Do not show the error's own message: it has the URL with all parameters, which may be keys.
            raise AwayError(f"{_origin(self._address.url)}: {_reason(error)}") from None
        if status in self._address.success:
            return
        said = f"{_origin(self._address.url)} answered {status}: {text}"
        raise ValueError(said) if status in ENTRY_REFUSED else AwayError(said, retry_after)

    def close(self) -> None:
        self._session.close()

    def _body(self, records: list[RequestRecord]) -> bytes | None:
        entries = [(name, value, record.request_id) for record in records for name, value in record.variables.items()]
        if not entries:
            return None
        try:
            payload = self._payload_generator(entries)
        except Exception as error:
            # Raise ValueError for every error of the function: trying again cannot help.
            raise ValueError(f"payload_generator raised {type(error).__name__}: {error}") from error
        if payload is None:
            return None
        try:
            return json.dumps(payload, allow_nan=False).encode()
        except Exception as error:
            raise ValueError(f"payload_generator returned what is no JSON: {error}") from error

    def _post(self, body: bytes) -> tuple[int, str, float]:
        address = self._address
        deadline = time.monotonic() + address.timeout_s
        with self._session.post(
            address.url,
            data=body,
            params=address.params,
            headers={"Content-Type": "application/json", **address.headers},
            proxies=address.proxies,
            verify=address.verify,
            timeout=address.timeout_s,
            # After a redirect, POST would become GET.
            allow_redirects=False,
            stream=True,
        ) as answer:
            retry_after = retry_after_s(answer.headers.get("Retry-After")) or 0.0
            return answer.status_code, _beginning(answer, deadline), retry_after


def _beginning(answer: requests.Response, deadline: float) -> str:
    """Return the beginning of an answer's body on one line.

    The time-out of ``requests`` holds for each piece. A body that comes slowly or has no end is not read further, and
    its connection is closed.
    """
    read = bytearray()
    # Ignore errors of the body: the status is known, so they are no reason to post again.
    with suppress(requests.RequestException):
        for byte in answer.iter_content(1):
            read += byte
            if len(read) >= READ_BYTES or time.monotonic() > deadline:
                break
    return " ".join(read.decode("utf-8", "replace")[:SHOWN_CHARS].split())


def _origin(url: str) -> str:
    # Many services have a key in the URL's path: show the origin only.
    return shown_address(url, path=False, user="")


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (AttributeError, TypeError, ValueError):
        usable = False
    if not usable:
        raise ChestConfigError("url", _origin(url), "an address such as 'https://host/path'")
    return url


def _checked_codes(codes: Collection[object]) -> frozenset[int]:
    wanted = "HTTP status codes, for example (200, 202)"
    try:
        found = frozenset(codes)
    except TypeError:
        raise ChestConfigError("success_status_codes", codes, wanted) from None
    valid = frozenset(code for code in found if isinstance(code, int) and 100 <= code < 600)  # noqa: PLR2004 - RFC 9110
    if not found or valid != found:
        raise ChestConfigError("success_status_codes", codes, wanted)
    return valid


def _reason(error: requests.RequestException) -> str:
    """Return the classes of an error and of its first cause; their messages contain addresses."""
    cause: BaseException = error
    while cause.__cause__ is not None or cause.__context__ is not None:
        cause = cause.__cause__ or cause.__context__ or cause
    return f"{type(error).__name__} ({type(cause).__name__})"


def _say_no_more(url: str) -> None:
    # The chest has warned once when it was made; urllib3 would warn with every post.
    host = urlsplit(url).hostname or ""
    message = f"Unverified HTTPS request is being made to host '{host}'"
    warnings.filterwarnings("ignore", message=re.escape(message), category=InsecureRequestWarning)


def _without_nan(value: object) -> object:
    # JSON has no NaN and no infinity.
    if isinstance(value, tuple):
        return [_without_nan(element) for element in value]
    return None if isinstance(value, float) and value - value != 0 else value
