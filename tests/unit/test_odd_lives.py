"""Requests that end in unusual ways, with each kind of server span: recorded once, exactly."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from flask import Response, copy_current_request_context, g, send_file
from werkzeug.routing import Rule

from tests.unit.test_lifecycle import TRACKED, assert_recorded, set_both

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Put, Rig

UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA=="}


@pytest.mark.parametrize("asked_for", ["a page as a socket", "a socket as a page"])
def test_websocket_upgrade_refused(rig: Rig, put: Put, asked_for: str) -> None:
    """What Werkzeug refuses with 400 before any view is recorded with what ``before_request`` has set."""
    app = rig.plain()
    app.before_request(set_both)
    app.url_map.add(Rule("/", endpoint="page", websocket=asked_for == "a socket as a page"))
    app.view_functions["page"] = lambda: "never"
    records = put(app, tracked_vars=TRACKED)
    answer = app.test_client().get("/", headers=UPGRADE if asked_for == "a page as a socket" else {})
    assert answer.status_code == 400
    assert_recorded(rig, records, 400, route=None)


@pytest.mark.parametrize("part", [None, "bytes=10-19"])
def test_send_file(rig: Rig, put: Put, tmp_path: Path, part: str | None) -> None:
    """A file, whole or in part, arrives as it is; recorded once, when it has been sent."""
    path = tmp_path / "page.txt"
    path.write_bytes(bytes(range(256)) * 1000)
    app = rig.plain()

    @app.route("/")
    def view() -> Response:
        set_both()
        return send_file(path, conditional=True)

    records = put(app, tracked_vars=TRACKED)
    answer = app.test_client().get("/", headers={"Range": part} if part else {})
    assert answer.data == (bytes(range(10, 20)) if part else path.read_bytes())
    answer.close()
    assert_recorded(rig, records, 206 if part else 200)


class Body:
    """Parts, and how often they were closed."""

    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("read", [True, False])
def test_a_body_with_close(rig: Rig, put: Put, read: bool) -> None:
    """It is closed exactly once, read or not, and the request is recorded once."""
    app = rig.plain()
    body = Body()

    @app.route("/")
    def view() -> Response:
        set_both()
        return Response(body)

    records = put(app, tracked_vars=TRACKED)
    answer = app.test_client().get("/")
    if read:
        assert answer.data == b"ab"
    answer.close()
    assert body.closed == 1
    assert_recorded(rig, records, 200)


@pytest.mark.parametrize("fails", [False, True])
def test_async_view(rig: Rig, put: Put, fails: bool) -> None:
    """What a coroutine sets, also after it waited and when it raises then, is recorded."""
    app = rig.plain()

    @app.route("/")
    async def view() -> str:
        g.user = "u1"
        await asyncio.sleep(0.001)
        g.total = 42.5
        if fails:
            raise LookupError
        return "ok"

    records = put(app, tracked_vars=TRACKED)
    status = app.test_client().get("/").status_code
    assert status == (500 if fails else 200)
    assert_recorded(rig, records, status)


def test_background_work_that_fails(rig: Rig, put: Put) -> None:
    """A thread with a copied context that sets values and raises after the request records nothing more."""
    app = rig.plain()
    ended, errors = threading.Event(), []

    @app.route("/")
    def view() -> str:
        set_both()

        @copy_current_request_context
        def work() -> None:
            ended.wait(10)
            g.user = "somebody else"
            raise LookupError

        def guarded() -> None:
            try:
                work()
            except LookupError as error:
                errors.append(error)

        thread = threading.Thread(target=guarded)
        app.config["THREAD"] = thread
        thread.start()
        return "ok"

    records = put(app, tracked_vars=TRACKED)
    assert app.test_client().get("/").text == "ok"
    ended.set()
    app.config["THREAD"].join()
    assert len(errors) == 1
    assert_recorded(rig, records, 200)


@pytest.mark.parametrize("way", ["test_request_context", "copied context"])
def test_a_context_opened_in_the_view(rig: Rig, put: Put, way: str) -> None:
    """A context for ``url_for`` or a mail shares ``g``; its end is not the end of the request around it."""
    app = rig.plain()

    @app.route("/")
    def view() -> str:
        g.user = "u1"
        if way == "copied context":
            copy_current_request_context(lambda: None)()
        else:
            with app.test_request_context("/mail"):
                pass
        set_both()
        return "ok"

    records = put(app, tracked_vars=TRACKED)
    assert app.test_client().get("/").status_code == 200
    assert_recorded(rig, records, 200)
