"""Who may look: each way in that an attacker would try, against a real server."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import requests
from flask import Flask

from flask_chest_otel import ChestSetupError, viewer
from flask_chest_otel._viewer.door import Door
from flask_chest_otel._viewer.pages import Source
from flask_chest_otel._viewer.server import make_app
from flask_chest_otel.errors import ChestConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.viewer.conftest import Served

PAGES = ("/", "/requests", "/requests.json", "/errors", "/variables", "/explain", "/compare", "/live", "/requests/r-1")


@pytest.fixture
def served(serve: Callable[[Path], Served], shop_store: Path) -> Served:
    """The shop's pages."""
    return serve(shop_store)


@pytest.mark.parametrize("page", [*PAGES, "/static/viewer.css", "/nowhere"])
def test_nobody_without_a_token(served: Served, page: str) -> None:
    """No page, no file, and no word of what exists without having come through the link."""
    assert requests.get(served.url + page, timeout=10).status_code == 403


@pytest.mark.parametrize("token", ["", "x", "é", "../..", "a" * 10_000, "%00"])
def test_a_wrong_token(served: Served, token: str) -> None:
    """A guess is refused like nothing at all, and the right link still works."""
    assert requests.get(f"{served.url}/", params={"token": token}, timeout=10).status_code == 403
    assert served.session().get(served.url, timeout=10).status_code == 200


def test_a_link_works_once(served: Served) -> None:
    """Of a link that somebody reads over a shoulder, or in a log, nothing is left; a new one is printed."""
    first = served.links[-1]
    session = served.session()
    assert requests.get(first, timeout=10).status_code == 403
    assert len(served.links) == 2
    assert served.links[-1] != first
    assert session.get(f"{served.url}/requests", timeout=10).status_code == 200
    assert served.session().get(served.url, timeout=10).status_code == 200


def test_whoever_is_in_follows_a_link_again(served: Served) -> None:
    """A used link in a browser that is in already leads to the page, without the token in the address."""
    first = served.links[-1]
    answer = served.session().get(first, timeout=10)
    assert (answer.status_code, answer.url) == (200, f"{served.url}/")


def test_the_cookie(served: Served) -> None:
    """It is out of reach of scripts and of other sites."""
    cookie = requests.get(served.links[-1], timeout=10).headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", ""])
def test_a_foreign_host(served: Served, host: str) -> None:
    """A page elsewhere that gives its own name this address (DNS rebinding) gets nothing, even with the cookie."""
    answer = served.session().get(f"{served.url}/requests", headers={"Host": host}, timeout=10)
    assert answer.status_code in (400, 403)
    assert "Requests" not in answer.text


@pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate"])
def test_a_request_of_another_site(served: Served, mode: str) -> None:
    """What a page of another site loads, scripts, images, frames, is refused even with the cookie."""
    destination = "iframe" if mode == "navigate" else "script"
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": destination}
    answer = served.session().get(f"{served.url}/requests.json", headers=headers, timeout=10)
    assert answer.status_code == 403


@pytest.mark.parametrize("page", PAGES[:-2])
def test_headers(served: Served, page: str) -> None:
    """Every answer forbids frames, foreign content, inline scripts, guessing of types, and copies in caches."""
    for session in (served.session(), requests.Session()):
        headers = session.get(served.url + page, timeout=10).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(served: Served, method: str) -> None:
    """No page takes anything but questions."""
    assert served.session().request(method, f"{served.url}/requests", timeout=10).status_code == 405


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static//etc/passwd"]
)
def test_files_elsewhere(served: Served, path: str) -> None:
    """Only files of the page are served, however a path is written."""
    session = served.session()
    ((name, value),) = session.cookies.items()
    address = served.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=10) as connection:  # as written, not tidied
        head = f"GET {path} HTTP/1.0\r\nHost: {':'.join(address)}\r\nCookie: {name}={value}\r\n\r\n"
        connection.sendall(head.encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    # Two slashes are one: the browser is sent to what is not there.
    assert answer.split()[1] in (b"404", b"403", b"400") or b"/static/etc/passwd\r\n" in answer
    assert b"import" not in answer


@pytest.mark.parametrize("address", ["//evil.example/", "/\\evil.example", "/%2f%2fevil.example"])
def test_the_link_leads_nowhere_else(served: Served, address: str) -> None:
    """Nobody makes a link to this page that lets in and leads to another host."""
    token = served.links[-1].partition("?")[2]
    answer = requests.get(f"{served.url}{address}?{token}", timeout=10, allow_redirects=False)
    assert "evil.example" not in answer.headers.get("Location", "").removeprefix("/").split("/")[0]
    assert "url=//" not in answer.text
    assert "url=/\\" not in answer.text


# The blueprint


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:80", "localhost"])
def test_the_port_of_http(shop_store: Path, host: str) -> None:
    """At port 80, which browsers do not name, the link leads in; other ports and names stay outside."""
    door = Door(80, lambda _link: None)
    client = make_app(Source(lambda: shop_store), door).test_client()
    assert client.get(f"/?{door.link.partition('?')[2]}", headers={"Host": host}).status_code == 200
    assert client.get("/", headers={"Host": "127.0.0.1:8080"}).status_code == 403
    assert client.get("/", headers={"Host": "shop.test"}).status_code == 403


def test_a_blueprint_without_allow() -> None:
    """Pages that everybody could see are not made."""
    with pytest.raises(TypeError):
        viewer.blueprint()  # type: ignore[call-arg]
    for allow in (None, True, "admin"):
        with pytest.raises(ChestSetupError, match="whom to let in"):
            viewer.blueprint(allow=allow)  # type: ignore[arg-type]


@pytest.mark.parametrize("template", ["javascript:alert(1)", "data:text/html,x", "http://x/{secret}", "{", "/trace"])
def test_a_template_that_is_no_address(template: str) -> None:
    """A link to another program is an address of the web with places that are known."""
    with pytest.raises(ChestConfigError):
        viewer.blueprint(allow=lambda: True, open_in={"Other": template})


@pytest.mark.guard_on
def test_the_application_decides(shop_store: Path) -> None:
    """Whoever ``allow`` does not let in gets 403 for pages and files; also where it raises, or returns nothing."""

    def raises() -> bool:
        raise RuntimeError

    for allow, status in ((lambda: True, 200), (lambda: False, 403), (lambda: None, 403), (raises, 403)):
        app = Flask("mounting")
        app.register_blueprint(viewer.blueprint(allow=allow, store=shop_store), url_prefix="/chest")
        client = app.test_client()
        for page in ("/chest/", "/chest/requests", "/chest/errors.json", "/chest/static/viewer.css"):
            with client.get(page) as answer:
                assert answer.status_code == status, page
                assert answer.headers["X-Frame-Options"] == "DENY"


def test_links_below_a_prefix(shop_store: Path) -> None:
    """Mounted below a prefix, every link of a page stays below it."""
    app = Flask("mounting")
    app.register_blueprint(viewer.blueprint(allow=lambda: True, store=shop_store), url_prefix="/deep/chest")
    text = app.test_client().get("/deep/chest/requests").text
    links = [part.split('"')[0] for part in text.split('href="')[1:]]
    assert len(links) > 50
    assert [link for link in links if not link.startswith("/deep/chest/")] == ["#main"]
