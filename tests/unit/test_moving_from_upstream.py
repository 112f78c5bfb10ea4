"""What ``FlaskInstrumentor`` does and an application would miss: the same calls, variables and arguments work here."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from flask import Flask, Response, g, stream_with_context
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

from flask_chest_otel import FlaskChestInstrumentor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Rig

CAPTURE_ALL = "OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS"
DURATION = "http.server.request.duration"


def set_a() -> str:
    g.a = 1
    return "ok"


@contextmanager
def instrumented(**arguments: Any) -> Iterator[None]:
    """All applications are instrumented."""
    FlaskChestInstrumentor().instrument(**arguments)
    try:
        yield
    finally:
        FlaskChestInstrumentor().uninstrument()


# uninstrument_app


@pytest.mark.parametrize("of_its_own", [False, True], ids=["instrument", "instrument_app"])
def test_one_application_is_taken_out_of_all(rig: Rig, *, of_its_own: bool) -> None:
    """After instrument(), uninstrument_app(app) ends the recording of this application alone, until instrument_app."""
    out, other = rig.plain("out"), rig.plain("other")
    for app in (out, other):
        app.add_url_rule("/", "view", set_a)
    if of_its_own:
        FlaskChestInstrumentor().instrument_app(out, tracked_vars=["a"], **rig.providers)
    with instrumented(tracked_vars=["a"], **rig.providers):
        out.test_client().get("/").get_data()
        assert len(rig.servers()) == 1
        FlaskChestInstrumentor().uninstrument_app(out)
        out.test_client().get("/").get_data()
        assert len(rig.servers()) == 1
        other.test_client().get("/").get_data()
        assert len(rig.servers()) == 2
        FlaskChestInstrumentor().instrument_app(out, tracked_vars=["a"], **rig.providers)
        out.test_client().get("/").get_data()
        assert len(rig.servers()) == 3
        FlaskChestInstrumentor().uninstrument_app(out)
    assert [point.count for point in rig.points("flask.g.a")] == [3]


def test_an_application_is_taken_out_before_its_first_request(rig: Rig) -> None:
    """uninstrument_app(app) counts also where instrument() has not come past the application yet."""
    app = rig.plain()
    app.add_url_rule("/", "view", set_a)
    with instrumented(**rig.providers):
        FlaskChestInstrumentor().uninstrument_app(app)
        app.test_client().get("/").get_data()
        assert rig.spans == ()


def test_taken_out_twice_is_said(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """A second uninstrument_app(app) changes nothing, and says so."""
    app = rig.plain()
    with instrumented(**rig.providers):
        FlaskChestInstrumentor().uninstrument_app(app)
        assert not caplog.messages
        FlaskChestInstrumentor().uninstrument_app(app)
    assert caplog.messages == ["'shop' is not instrumented: nothing was changed"]


def test_upstream_that_was_brought_goes_with_its_application(rig: Rig) -> None:
    """uninstrument_app(app) takes off the instrumentation that instrument(server_span="upstream") has put on."""
    app = rig.plain()
    app.add_url_rule("/", "view", set_a)
    with instrumented(server_span="upstream", **rig.providers):
        app.test_client().get("/").get_data()
        before = len(rig.spans)
        FlaskChestInstrumentor().uninstrument_app(app)
        app.test_client().get("/").get_data()
    assert before == 1
    assert len(rig.spans) == before


# Headers


def test_repeated_response_header(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response header that comes more than once is one text with commas, as a request's is."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "x-asked")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE", "x-answer")
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: Response("ok", headers=[("X-Answer", "1"), ("x-answer", "2")]))
    app.test_client().get("/", headers=[("X-Asked", "1"), ("X-Asked", "2")]).get_data()
    attributes = rig.server().attributes or {}
    assert attributes["http.response.header.x_answer"] == ("1,2",)
    assert attributes["http.request.header.x_asked"] == ("1, 2",)


def test_sanitised_names_match_anywhere(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sanitised name hides every header whose name contains it; a captured one has to match as a whole."""
    prefix = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
    monkeypatch.setenv(prefix + "SERVER_REQUEST", "x-.*,host")
    monkeypatch.setenv(prefix + "SERVER_RESPONSE", "x-.*")
    monkeypatch.setenv(prefix + "SANITIZE_FIELDS", "session")
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: ("ok", {"X-Session-Id": "s3cr3t"}))
    app.test_client().get("/", headers={"X-Session-Key": "s3cr3t", "X-Forwarded-Host": "h"}).get_data()
    attributes = rig.server().attributes or {}
    assert attributes["http.request.header.x_session_key"] == ("[REDACTED]",)
    assert attributes["http.response.header.x_session_id"] == ("[REDACTED]",)
    assert attributes["http.request.header.x_forwarded_host"] == ("h",)


# Methods


def test_query_is_a_known_method(rig: Rig) -> None:
    """The method QUERY stands in span, span name and metrics."""
    app = rig.app(tracked_vars=["a"])
    app.add_url_rule("/", "view", set_a, methods=["QUERY"])
    app.test_client().open("/", method="QUERY").get_data()
    assert rig.server().name == "QUERY /"
    assert (rig.server().attributes or {})["http.request.method"] == "QUERY"
    for metric in (DURATION, "flask.g.a", "http.server.active_requests"):
        assert [point.attributes["http.request.method"] for point in rig.points(metric)] == ["QUERY"]


def test_all_methods_where_asked_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the standard variable, unknown methods have their own name in span and metrics; else they are _OTHER."""
    found = []
    for wanted in ("", "true"):
        monkeypatch.setenv(CAPTURE_ALL, wanted)
        app = rig.app(tracked_vars=["a"])
        app.add_url_rule("/", "view", set_a, methods=["REPORT"])
        app.test_client().open("/", method="REPORT").get_data()
        found.append((rig.server().name, dict(rig.server().attributes or {})))
        rig.exporter.clear()
    (name, attributes), (own_name, own_attributes) = found
    assert (name, attributes["http.request.method"]) == ("HTTP /", "_OTHER")
    assert attributes["http.request.method_original"] == "REPORT"
    assert (own_name, own_attributes["http.request.method"]) == ("REPORT /", "REPORT")
    assert "http.request.method_original" not in own_attributes
    for metric in (DURATION, "flask.g.a", "http.server.active_requests"):
        assert {point.attributes["http.request.method"] for point in rig.points(metric)} == {"_OTHER", "REPORT"}


MANY_METHODS = """
from flask import Flask
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from flask_chest_otel import FlaskChest

reader = InMemoryMetricReader()
app = Flask(__name__)
FlaskChest(app, meter_provider=MeterProvider([reader]), export=None)
client = app.test_client()
for number in range(200):
    client.open("/", method=f"M{number}").get_data()
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            methods = {point.attributes.get("http.request.method") for point in metric.data.data_points}
            if metric.name in ("http.server.active_requests", "http.server.request.duration"):
                print(metric.name, len(methods), "_OTHER" in methods)
"""


@pytest.mark.process
def test_clients_cannot_make_up_methods_without_end() -> None:
    """Of methods that clients make up, 50 have their own name, then all others are _OTHER."""
    ran = subprocess.run(
        [sys.executable, "-c", MANY_METHODS], env={CAPTURE_ALL: "true"}, check=True, capture_output=True, text=True
    )
    assert sorted(ran.stdout.splitlines()) == [
        "http.server.active_requests 51 True",
        "http.server.request.duration 51 True",
    ]


# SQL comments


@contextmanager
def database(rig: Rig) -> Iterator[tuple[Any, list[str]]]:
    """A database whose instrumentation writes comments; and the statements that arrive in it."""
    arrived: list[str] = []
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
    with closing(engine.raw_connection()) as connection:
        driver: Any = connection.driver_connection
        driver.set_trace_callback(arrived.append)
    SQLAlchemyInstrumentor().instrument(
        engine=engine,
        enable_commenter=True,
        commenter_options={},
        skip_dep_check=True,
        tracer_provider=rig.tracer_provider,
    )
    try:
        yield engine, arrived
    finally:
        SQLAlchemyInstrumentor().uninstrument()
        engine.dispose()


def querying(app: Flask, engine: Any) -> None:
    """Routes that ask the database, in a view and while the body is sent."""

    def ask() -> str:
        with engine.connect() as connection:
            return str(connection.execute(sqlalchemy.text("SELECT 42")).scalar())

    def stream() -> Response:
        def body() -> Iterator[str]:
            yield ask()

        return Response(stream_with_context(body()))

    app.add_url_rule("/ask/<int:number>", "asking", lambda number: ask())  # noqa: ARG005 - the route's
    app.add_url_rule("/stream", "streaming", stream)


def comment_of(arrived: list[str]) -> dict[str, str]:
    """The names and values in the comment of the one SELECT."""
    (statement,) = [text for text in arrived if text.startswith("SELECT 42")]
    comment = statement.partition("/*")[2].removesuffix("*/")
    return dict(pair.split("=", 1) for pair in comment.split(",")) if comment else {}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {"controller", "framework", "route"}),
        ({"enable_commenter": True}, {"controller", "framework", "route"}),
        ({"commenter_options": {"route": False}}, {"controller", "framework"}),
        ({"enable_commenter": True, "commenter_options": {"controller": False, "framework": False}}, {"route"}),
        ({"enable_commenter": False}, set()),
    ],
    # Not by the sets, whose order differs from process to process.
    ids=["by default", "asked for", "without the route", "the route alone", "switched off"],
)
@pytest.mark.parametrize("every", [True, False], ids=["instrument", "instrument_app"])
def test_sql_comments(rig: Rig, arguments: dict[str, Any], expected: set[str], *, every: bool) -> None:
    """What arrives in the database says route, endpoint and framework, as far as the arguments ask for it."""
    app = rig.plain()
    with database(rig) as (engine, arrived):
        querying(app, engine)
        if every:
            with instrumented(**arguments, **rig.providers):
                assert app.test_client().get("/ask/7").text == "42"
        else:
            FlaskChestInstrumentor().instrument_app(app, **arguments, **rig.providers)
            assert app.test_client().get("/ask/7").text == "42"
    comment = comment_of(arrived)
    of_flask = {name for name in comment if name in ("controller", "framework", "route")}
    assert of_flask == expected
    if "route" in expected:
        assert comment["route"] == "'/ask/%%3Cint%%3Anumber%%3E'"
    if "controller" in expected:
        assert comment["controller"] == "'asking'"
    if "framework" in expected:
        assert comment["framework"].startswith("'flask%%3A")


def test_sql_comments_of_a_streamed_body(rig: Rig) -> None:
    """A query that is made while the body is sent has the comment, too; after the request nothing has."""
    app = rig.app()
    with database(rig) as (engine, arrived):
        querying(app, engine)
        assert app.test_client().get("/stream").text == "42"
        assert comment_of(arrived)["controller"] == "'streaming'"
        del arrived[:]
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 42"))
        assert "controller" not in comment_of(arrived)


def test_sql_comments_inside_the_span_of_others(rig: Rig) -> None:
    """Where an instrumentation is wrapped around the application, queries have the comment as well."""
    app = rig.app()
    with database(rig) as (engine, arrived):
        querying(app, engine)
        app.wsgi_app = OpenTelemetryMiddleware(  # type: ignore[method-assign]
            app.wsgi_app, tracer_provider=rig.tracer_provider
        )
        app.test_client().get("/ask/7").get_data()
        assert comment_of(arrived)["controller"] == "'asking'"


@pytest.mark.guard_on
def test_commenter_options_of_another_kind(rig: Rig) -> None:
    """Options that are no dictionary are said, and count as none."""
    app = rig.plain()
    with database(rig) as (engine, arrived):
        querying(app, engine)
        options: Any = ["route"]
        FlaskChestInstrumentor().instrument_app(app, commenter_options=options, **rig.providers)
        assert app.test_client().get("/ask/7").text == "42"
    assert comment_of(arrived)["route"] == "'/ask/%%3Cint%%3Anumber%%3E'"


NO_DATABASE = """
from flask import Flask
from opentelemetry import context
from flask_chest_otel import FlaskChest

app = Flask(__name__)
FlaskChest(app, export=None)
app.add_url_rule("/", "view", lambda: str("SQLCOMMENTER_ORM_TAGS_AND_VALUES" in context.get_current()))
print(app.test_client().get("/").text)
"""


@pytest.mark.process
def test_no_sql_comments_without_a_database_instrumentation() -> None:
    """Where no instrumentation that writes comments is loaded, and nobody asks, nothing is put into the context."""
    ran = subprocess.run([sys.executable, "-c", NO_DATABASE], check=True, capture_output=True, text=True)
    assert ran.stdout == "False\n"


def test_upstream_gets_hooks_and_options(rig: Rig) -> None:
    """With server_span="upstream", the hooks and the commenter's options are upstream's."""
    app = rig.plain()
    with database(rig) as (engine, arrived):
        querying(app, engine)
        FlaskChestInstrumentor().instrument_app(
            app,
            lambda span, _: span.set_attribute("from", "request"),
            lambda span, _status, _headers: span.set_attribute("to", "response"),
            server_span="upstream",
            commenter_options={"route": False},
            **rig.providers,
        )
        app.test_client().get("/ask/7").get_data()
        FlaskChestInstrumentor().uninstrument_app(app)
    (server,) = rig.servers()
    assert server.attributes is not None
    assert (server.attributes["from"], server.attributes["to"]) == ("request", "response")
    assert {"controller", "framework"} <= comment_of(arrived).keys()
    assert "route" not in comment_of(arrived)


# Excluded URLs


@pytest.mark.parametrize("server_span", ["auto", "upstream"])
def test_excluded_with_scheme_and_host(rig: Rig, server_span: str) -> None:
    """A pattern with :// is looked for in the URL up to the query; one without, in the path alone."""
    app = rig.plain()
    app.add_url_rule("/<path:page>", "view", lambda page: "ok")  # noqa: ARG005 - the route's
    FlaskChestInstrumentor().instrument_app(
        app, excluded_urls="http://localhost/live,^https://, health", server_span=server_span, **rig.providers
    )
    client = app.test_client()
    for url in ("/live", "/health", "https://localhost/x", "/x?y=http://localhost/live", "http://health/x", "/other"):
        client.get(url).get_data()
    FlaskChestInstrumentor().uninstrument_app(app)
    assert len(rig.servers()) == 3


# Names before the conventions became stable


def test_both_names_have_host_and_server(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """With http/dup, http.host and http.server_name are there too, on the span and on the old duration."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    app.test_client().get("/", base_url="http://shop.example:8080").get_data()
    expected = {"http.host": "shop.example:8080", "http.server_name": "shop.example"}
    assert expected.items() <= dict(rig.server().attributes or {}).items()
    (point,) = rig.points("http.server.duration")
    assert "http.route" not in point.attributes
