"""What instrumented libraries did in a request, in its record: real databases and servers, each kind of provider."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import requests
import urllib3
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy import event, text

from flask_chest_otel import FlaskChest
from flask_chest_otel.testing import RequestRecord, capture
from tests.backends import postgresql as postgresql_module
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.postgresql import PostgreSQL
from tests.backends.require import MissingError, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


PLANTED_S = 0.030
"""What the slow query takes, of a view of 50 ms."""

CLOSE = 0.05
"""How far from the truth a time may be: a twentieth of it."""


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    """A running PostgreSQL."""
    try:
        postgresql_module.check_installed()
    except MissingError as error:
        missing(str(error))
    server = PostgreSQL()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def web() -> Iterator[str]:
    """A real HTTP server that answers each path after 10 ms; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(0.01)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's signature
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def instrumented(*instrumentors: Any, **options: Any) -> Iterator[None]:
    """Inside the block libraries make spans."""
    with ExitStack() as stack:
        for instrumentor in instrumentors:
            # It knows no SQLAlchemy 2.1 yet, and does its work there all the same.
            instrumentor.instrument(skip_dep_check=True, **options)
            stack.callback(instrumentor.uninstrument)
        yield


class Shop:
    """An application with a database, and one view that is slow for a reason that is known.

    Attributes:
        app: The application.
        system: The database system.
        in_database_s: How long the last slow query took, seconds, measured around it.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.app = Flask("shop", instance_path=str(folder))
        self.app.testing = True
        self.app.config["SQLALCHEMY_DATABASE_URI"] = url
        self.database = SQLAlchemy(self.app)
        self.in_database_s = 0.0
        self.system = "sqlite" if url.startswith("sqlite") else "postgresql"
        with self.app.app_context():
            if self.system == "sqlite":
                event.listen(self.database.engine, "connect", self._teach_to_sleep)
                self.sleep = text("SELECT sleep_s(:seconds)")
            else:
                self.sleep = text("SELECT pg_sleep(:seconds)")
        self.app.add_url_rule("/", "slow", self.slow)

    @staticmethod
    def _teach_to_sleep(connection: Any, _record: Any) -> None:
        connection.create_function("sleep_s", 1, time.sleep)

    def slow(self) -> str:
        """A view of 50 ms, 30 of them in the database."""
        session = self.database.session
        session.execute(text("SELECT 1"))
        begin = time.perf_counter()
        session.execute(self.sleep, {"seconds": PLANTED_S})
        self.in_database_s = time.perf_counter() - begin
        time.sleep(0.02)
        return "ok"

    def record(self) -> RequestRecord:
        """The record of one request of the slow view."""
        with capture(self.app) as records:
            assert self.app.test_client().get("/").status_code == 200
        return records[0]


def is_close(shop: Shop, record: RequestRecord) -> bool:
    """Whether the record says what was planted."""
    count, seconds = record.timings["db"]
    (slowest,) = [span for span in record.spans if span.duration_s == max(one.duration_s for one in record.spans)]
    assert "sleep" in slowest.attributes["db.statement"]
    assert count >= 2
    assert slowest.attributes["db.system"] == shop.system
    return (
        slowest.duration_s == pytest.approx(shop.in_database_s, rel=CLOSE)
        and PLANTED_S <= seconds <= shop.in_database_s * (1 + CLOSE) + 0.002
        and record.duration_s >= 0.05
    )


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@pytest.mark.parametrize("whose", ["nobody's", "the application's"])
def test_slow_query(request: pytest.FixtureRequest, tmp_path: Path, backend: str, whose: str) -> None:
    """30 ms of SQL in a view of 50 ms are shown as such, within a twentieth, with or without a provider."""
    url = "sqlite://"
    if backend == "postgresql":
        url = request.getfixturevalue("postgresql").url.replace("postgresql:", "postgresql+psycopg:")
    provider = TracerProvider(shutdown_on_exit=False) if whose == "the application's" else None
    shop = Shop(tmp_path, url)
    FlaskChest(shop.app, tracer_provider=provider)
    with shop.app.app_context():
        engine = shop.database.engine
    with instrumented(SQLAlchemyInstrumentor(), engine=engine, tracer_provider=provider):
        shop.record()  # connects
        # Other processes of the machine may have their turn between two clocks: then once more.
        records = (shop.record() for _ in range(20))
        assert any(is_close(shop, record) for record in records), (shop.record(), shop.in_database_s)
    engine.dispose()


@pytest.mark.parametrize("whose", ["nobody's", "the application's"])
def test_calls(tmp_path: Path, web: str, whose: str) -> None:
    """Calls with ``requests`` and ``urllib3`` are counted once, timed, and shown without user, password and query."""
    provider = TracerProvider(shutdown_on_exit=False) if whose == "the application's" else None
    app = Flask("shop", instance_path=str(tmp_path))
    app.testing = True
    FlaskChest(app, tracer_provider=provider)
    address = web.replace("//", "//ann:word@") + "/stock?token=t1&page=2"
    seconds: list[float] = []

    @app.route("/")
    def view() -> str:
        begin = time.perf_counter()
        requests.get(address, timeout=5)
        urllib3.PoolManager().request("GET", web + "/price?token=t1")
        seconds.append(time.perf_counter() - begin)
        return "ok"

    with instrumented(RequestsInstrumentor(), URLLib3Instrumentor(), tracer_provider=provider):
        with capture(app) as records:
            app.test_client().get("/")
        requests.get(web, timeout=5)  # outside of requests: nobody's
    (record,) = records
    count, together = record.timings["http"]
    assert count == 2
    assert 0.02 <= together <= seconds[0]
    assert len(record.spans) == 2
    assert {span.attributes["http.url"].partition("?")[0] for span in record.spans} == {web + "/stock", web + "/price"}
    text_of_all = repr(record.spans)
    assert "t1" not in text_of_all
    assert "word" not in text_of_all


GLOBAL = """
import sys
from flask import Flask
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from flask_chest_otel import FlaskChest
from flask_chest_otel.testing import capture

class Chest:
    name, keeps_spans = "mine", True
    def __init__(self): self.records = []
    def put(self, record): self.records.append(record)
    def flush(self, timeout_s): return True
    close = flush

chest = Chest()
app = Flask("shop", instance_path=sys.path[0] or "/dev/null/nowhere")
tracer = trace.get_tracer("library")

@app.route("/")
def view():
    with tracer.start_as_current_span("by hand"):
        pass
    return "ok"

def ask(**headers):
    app.test_client().get("/", headers=headers)
    record = chest.records[-1]
    return [span.name for span in record.spans], record.spans_complete
"""


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_our_provider(run_python: Callable[..., str], tmp_path: Path, sampler: str) -> None:
    """With the provider that exports by OTLP, sampled in and out; what is sampled out is not exported."""
    with OtlpReceiver() as receiver:
        run_python(
            GLOBAL
            + """
chests = FlaskChest(app, chests=[chest])
assert ask() == (["by hand"], True), chest.records
assert chests.force_flush(10)
with tracer.start_as_current_span("job"):
    pass
""",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "OTEL_TRACES_SAMPLER": sampler,
                "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox"),
            },
        )
        names = {span["name"] for span in receiver.spans()}
    assert names == ({"by hand", "GET /", "job"} if sampler == "always_on" else set())


def test_provider_set_late(run_python: Callable[..., str]) -> None:
    """A global provider that is set after the first request is looked for from time to time, and followed then."""
    run_python(
        GLOBAL
        + """
FlaskChest(app, chests=[chest], export="store")
assert ask() == (["by hand"], True)
trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("library")
seen = [ask()[0] for _ in range(130)]
assert seen[-1] == ["by hand"], seen
"""
    )


def test_global_provider(run_python: Callable[..., str]) -> None:
    """The application's own global provider, sampled in and out: what is not recorded is missing, and said to be."""
    run_python(
        GLOBAL
        + """
trace.set_tracer_provider(TracerProvider())
FlaskChest(app, chests=[chest])
assert ask() == (["by hand"], True)
assert ask(traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00") == ([], False)
assert ask(traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") == (["by hand"], True)
"""
    )


def test_children_of_a_fork(run_python: Callable[..., str]) -> None:
    """A worker that was forked after the first request, and in the middle of one, has its own requests' spans."""
    run_python(
        GLOBAL
        + """
import os
FlaskChest(app, chests=[chest], export="store")

@app.route("/fork")
def fork():
    with tracer.start_as_current_span("outer"):
        return str(in_child())

assert ask() == (["by hand"], True)

def in_child():
    child = os.fork()
    if not child:
        os._exit(0 if ask() == (["by hand"], True) else 1)
    return os.waitpid(child, 0)[1]

assert in_child() == 0
assert app.test_client().get("/fork").text == "0"
assert [span.name for span in chest.records[-1].spans] == ["outer"]
"""
    )


def test_gevent(run_python: Callable[..., str]) -> None:
    """Under gevent, spans of requests that are served at once stay apart."""
    pytest.importorskip("gevent")
    run_python(
        """
from gevent import monkey
monkey.patch_all()
import gevent
"""
        + GLOBAL
        + """
FlaskChest(app, chests=[chest], export="store")

@app.route("/<int:number>")
def numbered(number):
    for turn in range(5):
        with tracer.start_as_current_span(f"n{number}"):
            gevent.sleep(0.001)
    return "ok"

gevent.joinall([gevent.spawn(app.test_client().get, f"/{number}") for number in range(20)], raise_error=True)
found = sorted(tuple(span.name for span in record.spans) for record in chest.records)
assert found == sorted((f"n{number}",) * 5 for number in range(20)), found
"""
    )
