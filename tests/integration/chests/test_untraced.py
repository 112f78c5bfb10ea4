"""Applications whose libraries are instrumented: what the chests do with them is in no trace."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import requests
import sqlalchemy
from flask import g
from opentelemetry.instrumentation import dbapi
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.trace import SpanKind

from flask_chest_otel._store.store import EmbeddedStore
from flask_chest_otel.chests import SQLChest, WebhookChest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Rig
    from tests.integration.chests.conftest import Ingest


pytestmark = pytest.mark.skipif(
    not hasattr(dbapi, "is_instrumentation_enabled"),
    reason="instrumentations of databases that are this old trace everything, whatever they are told",
)


@pytest.fixture(autouse=True)
def instrumented(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything that the application and its chests use is traced."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    instrumentors: list[Any] = [RequestsInstrumentor(), SQLAlchemyInstrumentor(), SQLite3Instrumentor()]
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=rig.tracer_provider, meter_provider=rig.meter_provider)
    yield
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


def test_only_the_application_is_traced(rig: Rig, ingest: Ingest, tmp_path: Path) -> None:
    """The view's own query and call have their spans; the rows and the post of its chests, which all arrive, none."""
    sql, store = tmp_path / "sql.sqlite3", EmbeddedStore(tmp_path / "store.sqlite3")
    chests: list[Any] = [SQLChest(f"sqlite:///{sql}"), WebhookChest(f"{ingest.url}/in"), store]
    app = rig.app(tracked_vars=["total"], chests=chests)

    @app.get("/")
    def index() -> str:
        g.total = 1
        engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'own.sqlite3'}", poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 17")
        requests.post(f"{ingest.url}/own", json=[], timeout=10)
        return "ok"

    app.test_client().get("/")
    for chest in chests:
        with closing(chest):
            assert chest.flush(10)
    assert [path for _, path, _ in ingest.posts] == ["/own", "/in"]
    for path in (sql, store.path):
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM chest_variables").fetchone() == (1,)
    (server,) = rig.servers()
    theirs = [span for span in rig.spans if span.kind is SpanKind.CLIENT]
    assert any((span.attributes or {}).get("db.statement") == "SELECT 17" for span in theirs)
    assert any(span.name == "POST" for span in theirs)
    assert {span.context.trace_id for span in rig.spans} == {server.context.trace_id}
    assert not [span for span in rig.spans if "chest_" in str(dict(span.attributes or {}))]
