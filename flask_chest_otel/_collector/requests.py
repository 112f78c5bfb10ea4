"""Sends requests to targets as the collector does: to this machine without a proxy, with the user in a header."""

from __future__ import annotations

import base64
import urllib.request
from http.client import HTTPException
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPResponse

__all__ = ["FAILURES", "is_loopback", "send"]

FAILURES = (OSError, ValueError, HTTPException)
"""What :func:`send` raises where nobody answered or the address cannot be used; ``HTTPError`` is one of them."""


def send(
    url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None, *, timeout_s: float
) -> HTTPResponse:
    """Send a request, by POST where it has a body, and return the answer; the caller closes it.

    Raises:
        HTTPError: The server refused it.
        OSError, ValueError, HTTPException: It was not sent, or not answered.
    """
    url, user = _without_user(url)
    request = urllib.request.Request(url, body, {**user, **(headers or {})})  # noqa: S310 - the operator's own address
    handlers = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(url).hostname or "") else []
    answer: HTTPResponse = urllib.request.build_opener(*handlers).open(request, timeout=timeout_s)
    return answer


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_user(url: str) -> tuple[str, dict[str, str]]:
    """Return an address without user and password, and the header that carries them.

    ``urllib`` would take ``user:password@host`` for the name of the host.
    """
    parts = urlsplit(url)
    user, _, server = parts.netloc.rpartition("@")
    if not user:
        return url, {}
    basic = base64.b64encode(unquote(user).encode()).decode()
    return urlunsplit(parts._replace(netloc=server)), {"Authorization": f"Basic {basic}"}
