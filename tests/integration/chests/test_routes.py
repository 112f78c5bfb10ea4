"""chests= of routes, with two real direct targets at once and a real application."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import g
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from flask_chest_otel import FlaskChest, UnknownChestError, flask_chest
from flask_chest_otel.chests import SQLChest, WebhookChest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from tests.backends.postgresql import PostgreSQL
    from tests.conftest import Rig
    from tests.integration.chests.conftest import Ingest

pytestmark = pytest.mark.real


@pytest.fixture
def audit(postgresql: PostgreSQL, prefix: str) -> Iterator[SQLChest]:
    with closing(SQLChest(postgresql.url, name="audit", table_prefix=prefix)) as chest:
        yield chest


@pytest.fixture
def hook(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookChest]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with closing(WebhookChest(ingest.url, name="hook")) as chest:
        yield chest


def view() -> Callable[[], str]:
    """A view of its own: decorators mark the function."""

    def index() -> str:
        g.where = "here"
        return ""

    return index


def routes(app: Flask) -> None:
    app.add_url_rule("/audit", "audit", flask_chest(["where"], chests=["audit"])(view()))
    app.add_url_rule("/hook", "hook", flask_chest(["where"], chests=["hook", "influxdb"])(view()))
    app.add_url_rule("/influxdb", "influxdb", flask_chest(["where"], chests=["influxdb"])(view()))
    app.add_url_rule("/both", "both", flask_chest(["where"])(view()))


def posted(ingest: Ingest) -> set[str]:
    return {one["request_id"] for body, _, _ in ingest.posts for one in body["variables"]}


def stored(postgresql: PostgreSQL, prefix: str) -> set[str]:
    return {row["request_id"] for row in postgresql.rows(f"SELECT request_id FROM {prefix}requests")}


def test_a_chest_takes_only_its_routes(
    rig: Rig, audit: SQLChest, hook: WebhookChest, ingest: Ingest, postgresql: PostgreSQL, prefix: str
) -> None:
    """Data of a route restricted to one chest reach that one and no other; unrestricted routes go everywhere."""
    app = rig.plain()
    routes(app)
    chest = rig.chest(app, chests=[audit, hook, "influxdb"])
    client = app.test_client()
    for path in ("audit", "hook", "influxdb", "both"):
        client.get(f"/{path}", headers={"X-Request-ID": path})
    assert chest.force_flush(20)
    assert stored(postgresql, prefix) == {"audit", "both"}
    assert posted(ingest) == {"hook", "both"}


def test_a_chest_gets_only_its_own_application(
    rig: Rig, audit: SQLChest, hook: WebhookChest, ingest: Ingest, postgresql: PostgreSQL, prefix: str
) -> None:
    """Of two applications in one process, each writes to its own chest only."""
    for name, chest in (("one", audit), ("two", hook)):
        app = rig.plain(name)
        app.add_url_rule("/", "index", flask_chest(["where"])(view()))
        extension = rig.chest(app, chests=[chest])
        app.test_client().get("/", headers={"X-Request-ID": name})
        assert extension.force_flush(20)
    assert stored(postgresql, prefix) == {"one"}
    assert posted(ingest) == {"two"}


def test_sampling_does_not_thin_them(rig: Rig, audit: SQLChest, postgresql: PostgreSQL, prefix: str) -> None:
    """With a sampler that keeps no trace, every request is a row."""
    app = rig.plain()
    app.add_url_rule("/", "index", flask_chest(["where"])(view()))
    provider = rig.provider(sampler=ALWAYS_OFF)
    chest = rig.chest(app, chests=[audit], tracer_provider=provider)
    for number in range(100):
        app.test_client().get("/", headers={"X-Request-ID": f"r-{number}"})
    assert chest.force_flush(20)
    assert stored(postgresql, prefix) == {f"r-{number}" for number in range(100)}
    assert rig.spans == ()


def test_an_unknown_chest_is_refused_with_the_known_ones(rig: Rig, audit: SQLChest) -> None:
    """A route that names a chest which is not there raises when it is registered, with the nearest name."""
    app = rig.plain()
    rig.chest(app, chests=[audit, "influxdb"])
    with pytest.raises(UnknownChestError, match=r"audit, influxdb \(did you mean 'audit'\?\)"):
        app.add_url_rule("/", "index", flask_chest(["where"], chests=["audti"])(lambda: ""))


def test_one_row_and_one_span_have_the_same_trace(
    rig: Rig, audit: SQLChest, postgresql: PostgreSQL, prefix: str
) -> None:
    """The row has the trace id and span id of the request's server span, and the route it came by."""
    app = rig.plain()
    routes(app)
    FlaskChest(app, chests=[audit, "hook", "influxdb"], **rig.providers)
    app.test_client().get("/audit")
    assert audit.flush(20)
    context: Any = rig.server().context
    (row,) = postgresql.rows(f"SELECT trace_id, span_id, route, status FROM {prefix}requests")
    assert row == {
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "route": "/audit",
        "status": 200,
    }


def test_what_a_chest_does_is_not_traced(
    rig: Rig, audit: SQLChest, hook: WebhookChest, ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instrumentation of the HTTP client, which wraps its ``send``, is told to look away from the chest's posts."""
    traced, send = [], requests.Session.send

    def wrapper(*args: Any, **kwargs: Any) -> requests.Response:
        traced.append(is_instrumentation_enabled())
        return send(*args, **kwargs)

    monkeypatch.setattr(requests.Session, "send", wrapper)
    app = rig.plain()
    routes(app)
    chest = rig.chest(app, chests=[audit, hook, "influxdb"])
    app.test_client().get("/hook")
    assert chest.force_flush(20)
    assert (len(ingest.posts), traced) == (1, [False])
