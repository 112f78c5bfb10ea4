"""The worked example of docs/how-to/direct-chests.md, from a request to what a server gets."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from flask import g

from tests.docs.pages import REPOSITORY, blocks_of

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Rig
    from tests.integration.chests.conftest import Ingest

PAGE = REPOSITORY / "docs" / "how-to" / "direct-chests.md"


def test_the_example_posts_datapoints(rig: Rig, ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests become one post to /v2/datapoint with the token, and count and sum of each number."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SIGNALFX_INGEST", ingest.url)
    monkeypatch.setenv("SIGNALFX_TOKEN", "t0ken")
    (code,) = [block.text for block in blocks_of(PAGE.read_text("utf-8")) if block.order == "file signalfx.py"]
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    app = rig.plain()

    @app.get("/")
    def index() -> str:
        g.transaction, g.response_time, g.user_id = 1, 0.25, "u1"
        return ""

    with closing(names["signalfx"]()) as signalfx:
        rig.chest(app, tracked_vars=["transaction", "response_time", "user_id"], chests=[signalfx])
        for _ in range(2):
            app.test_client().get("/")
        assert signalfx.flush(20)
    ((body, path, headers),) = ingest.posts
    assert (path, headers["X-SF-Token"]) == ("/v2/datapoint", "t0ken")
    assert {one["metric"]: one["value"] for one in body["counter"]} == {
        "shop.transaction.count": 2,
        "shop.transaction.sum": 2,
        "shop.response_time.count": 2,
        "shop.response_time.sum": 0.5,
    }
