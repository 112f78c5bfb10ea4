"""Access control of the page: a link with a token for one use, then a cookie; checks of the host; security headers."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from flask import Response, make_response, redirect, render_template, request

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Response as AnyResponse

__all__ = ["HEADERS", "Door", "harden"]

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every response: the page loads nothing from other sites, is shown in no frame, and is not cached."""

TOKEN = "token"  # noqa: S105 - the name of a parameter
HTTP_PORT = 80
_BYTES = 24


def harden(response: Response) -> Response:
    """Set ``HEADERS`` on a response. Register it with ``after_request``."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response


class Door:
    """Guards one server on this machine.

    Args:
        port: The port that the server listens on.
        on_used: Called with the next link whenever a link was used, so that another browser can get in.

    Attributes:
        link: The address that lets one browser in. It works once.
    """

    def __init__(self, port: int, on_used: Callable[[str], None]) -> None:
        # Browsers leave port 80 out of the header Host.
        end = "" if port == HTTP_PORT else f":{port}"
        self._hosts = {f"{name}{end}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._origin = f"http://127.0.0.1:{port}/"
        self._cookie = f"flask_chest_{port}"
        self._session = secrets.token_urlsafe(_BYTES)
        self._on_used = on_used
        self._renew()

    def check(self) -> AnyResponse | None:
        """Return a response in place of the page; ``None`` where the browser may see the page."""
        # DNS rebinding: another site's name may resolve to this address, but the browser sends that name as Host.
        if request.host not in self._hosts:
            return _refusal("host")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not _is_navigation():
            return _refusal("site")
        given = request.args.get(TOKEN)
        if _same(request.cookies.get(self._cookie), self._session):
            return redirect(_address_without_token()) if given is not None else None
        if not _same(given, self._token):
            return _refusal("token")
        return self._let_in()

    def _let_in(self) -> AnyResponse:
        self._renew()
        self._on_used(self.link)
        # A page with a link, not a redirect: after a click on another site, a browser does not send a SameSite=Strict
        # cookie to the target of a redirect. It sends the cookie after a click on a page of this site.
        response = make_response(render_template("chest/enter.html", address=_address_without_token()))
        response.set_cookie(self._cookie, self._session, httponly=True, samesite="Strict")
        return response

    def _renew(self) -> None:
        self._token = secrets.token_urlsafe(_BYTES)
        self.link = f"{self._origin}?{urlencode({TOKEN: self._token})}"


def _same(given: str | None, expected: str) -> bool:
    return given is not None and secrets.compare_digest(given.encode(errors="replace"), expected.encode())


def _is_navigation() -> bool:
    return request.headers.get("Sec-Fetch-Mode") == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document"


def _address_without_token() -> str:
    rest = [(name, value) for name, value in request.args.items(multi=True) if name != TOKEN]
    # Exactly one slash, and backslashes encoded: a browser reads two as the begin of another host's name.
    return f"/{quote(request.path.lstrip('/'))}{'?' if rest else ''}{urlencode(rest)}"


def _refusal(reason: str) -> AnyResponse:
    return make_response(render_template("chest/refused.html", reason=reason), 403)
