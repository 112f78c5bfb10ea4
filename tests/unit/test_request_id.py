"""Request id and trace id: which one a request gets, where it shows, and what cannot be forged."""

from __future__ import annotations

import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, copy_current_request_context, g, make_response
from flask import request as flask_request
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.propagators import TraceResponsePropagator, set_global_response_propagator
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from werkzeug.test import Client

from flask_chest_otel import (
    ChestIdGenerator,
    FlaskChestInstrumentor,
    _guard,
    current_request_id,
    flask_chest,
    trace_id_for,
)
from flask_chest_otel._request.trace_id import shadow, unshadow
from flask_chest_otel.ids import is_legal
from flask_chest_otel.testing import RequestRecord, capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from tests.conftest import Put, Rig


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def ask(app: Flask, **headers: str) -> tuple[RequestRecord, Any]:
    """One request; its record and response."""
    with capture(app) as records:
        response = app.test_client().get("/", headers={name.replace("_", "-"): text for name, text in headers.items()})
    (record,) = records
    return record, response


def ok() -> str:
    return "ok"


def app_with(rig: Rig, **options: Any) -> Flask:
    app = rig.app(**options)
    app.add_url_rule("/", view_func=ok)
    return app


def test_inbound_id(rig: Rig, put: Put) -> None:
    """An inbound id is the request's id, and its mapping the trace id."""
    app = rig.plain()
    app.add_url_rule("/", view_func=ok)
    (records) = put(app, tracked_vars=["a"])
    app.test_client().get("/", headers={"X-Request-ID": "r-17"})
    assert records[0].request_id == "r-17"
    assert records[0].trace_id == trace_id_for("r-17") == trace_of(rig.server())
    assert (rig.server().attributes or {})["flask.request_id"] == "r-17"


def test_inbound_beats_generators(rig: Rig) -> None:
    """Inbound, then the route's generator, then the application's."""
    app = rig.app(request_id_generator=lambda: "of-app")
    app.add_url_rule("/", "route", flask_chest(request_id_generator=lambda: "of-route")(lambda: "ok"))
    app.add_url_rule("/app", "app", ok)
    assert ask(app, X_Request_ID="inbound")[0].request_id == "inbound"
    assert ask(app)[0].request_id == "of-route"
    with capture(app) as records:
        app.test_client().get("/app")
    assert records[0].request_id == "of-app"
    assert records[0].trace_id == trace_id_for("of-app")


def test_none_given(rig: Rig) -> None:
    """Without an id of its own, the request's id is the trace's."""
    record, response = ask(app_with(rig))
    assert record.request_id == record.trace_id == trace_of(rig.server())
    assert response.headers["X-Request-ID"] == record.request_id


def test_header_not_read(rig: Rig) -> None:
    """``request_id_header=None`` reads nothing; another name reads that one."""
    assert ask(app_with(rig, request_id_header=None), X_Request_ID="x")[0].request_id != "x"
    other = rig.plain("other")
    rig.chest(other, request_id_header="X-Correlation-ID")
    other.add_url_rule("/", view_func=ok)
    assert ask(other, X_Correlation_ID="y")[0].request_id == "y"


@pytest.mark.parametrize(
    "inbound",
    [
        "",
        " ",
        "a b",
        "a,b",
        "a\tb",
        "é",
        "x" * 256,
        "<script>",
        "a;b",
        "${jndi:ldap://x}",
        '"',
        "a\\b",
        "%0d%0a",
        "\x7f",
    ],
)
def test_illegal_inbound(rig: Rig, inbound: str) -> None:
    """An illegal inbound id is refused, counted, and appears nowhere."""
    record, response = ask(app_with(rig, response_headers=["X-Request-ID", "Server-Timing"]), X_Request_ID=inbound)
    assert is_legal(record.request_id)
    assert record.request_id == record.trace_id
    if len(inbound) > 1:
        assert inbound not in str(response.headers)
    assert _guard.counts[_guard.Refusal.REQUEST_ID, "inbound"] == 1


def test_generator_when_inbound_is_illegal(rig: Rig) -> None:
    """A refused inbound id leaves the decision to the generator."""
    assert ask(app_with(rig, request_id_generator=lambda: "mine"), X_Request_ID="a b")[0].request_id == "mine"


def test_repeated_header(rig: Rig) -> None:
    """Two inbound ids are joined by the server, with a comma, and refused."""
    app = app_with(rig)
    with capture(app) as records:
        app.test_client().get("/", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")])
    assert records[0].request_id == records[0].trace_id


RUBBISH: list[tuple[Any, str | None]] = [
    (17, "17"),
    ("a b\r\nSet-Cookie: x=1", "a_b__Set-Cookie:_x=1"),
    ("x" * 300, "x" * 255),
    (uuid.UUID(int=5), str(uuid.UUID(int=5))),
    ("ü", "_"),
    ("", None),
    (None, None),
]


@pytest.mark.parametrize(("made", "expected"), RUBBISH)
def test_generator_returns_anything(rig: Rig, made: Any, expected: str | None) -> None:
    """What a generator returns goes through ``str``, but for None; illegal characters become ``_``."""
    record, response = ask(app_with(rig, request_id_generator=lambda: made))
    assert record.request_id == (expected or record.trace_id)
    assert response.headers["X-Request-ID"] == record.request_id
    assert "Set-Cookie" not in response.headers


@pytest.mark.guard_on
def test_generator_raises(rig: Rig) -> None:
    """A failing generator costs the request its own id, nothing else."""

    def failing() -> str:
        raise RuntimeError("no ids today")

    class Evil:
        def __str__(self) -> str:
            raise RuntimeError

    for generator in (failing, Evil):
        app = rig.plain(generator.__name__)
        rig.chest(app, request_id_generator=generator, tracked_vars=["a"])
        app.add_url_rule("/", view_func=ok)
        record, response = ask(app)
        assert response.text == "ok"
        assert record.request_id == record.trace_id
    assert _guard.counts == {("request_id_generator", "RuntimeError"): 2}


def test_generator_that_opens_a_span(rig: Rig) -> None:
    """A generator may use tracing itself: no recursion, and its span is not the server's."""
    tracer = rig.tracer_provider.get_tracer("mine")

    def generate() -> str:
        with tracer.start_as_current_span("generating"):
            return "made"

    record, _ = ask(app_with(rig, request_id_generator=generate))
    assert record.request_id == "made"
    assert record.trace_id == trace_id_for("made") == trace_of(rig.server())


def test_generator_is_called_once(rig: Rig) -> None:
    """One call per request, whoever asks for the id afterwards."""
    calls: list[int] = []

    def generate() -> str:
        calls.append(1)
        return "made"

    app = rig.app(request_id_generator=generate)
    app.add_url_rule("/", view_func=lambda: f"{current_request_id()} {current_request_id()}")
    record, response = ask(app)
    assert response.text == "made made"
    assert (record.request_id, len(calls)) == ("made", 1)


def test_traceparent_wins(rig: Rig) -> None:
    """With a ``traceparent`` the trace is the caller's, and the id stays an attribute."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    record, response = ask(app_with(rig), traceparent=parent, X_Request_ID="r-1")
    assert record.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert record.request_id == response.headers["X-Request-ID"] == "r-1"


def test_two_requests_in_one_trace(rig: Rig) -> None:
    """Requests that share an inbound trace have ids of their own."""
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    app = app_with(rig)
    one, two = ask(app, traceparent=parent)[0], ask(app, traceparent=parent)[0]
    assert one.trace_id == two.trace_id
    assert len({one.request_id, two.request_id, one.trace_id}) == 3


def test_outer_wsgi_instrumentation_wins(rig: Rig) -> None:
    """A WSGI server span around the application keeps its trace; the attributes go where the request's span is."""
    app = rig.app(tracked_vars=["a"], server_span=None)
    app.add_url_rule("/", view_func=ok)
    outer = OpenTelemetryMiddleware(app.wsgi_app, **rig.providers)
    with capture(app) as records:
        Client(outer).get("/", headers={"X-Request-ID": "r-1"})
    (record,) = records
    assert record.request_id == "r-1"
    assert record.trace_id == trace_of(rig.server()) != trace_id_for("r-1")
    assert (rig.server().attributes or {})["flask.request_id"] == "r-1"


def test_outer_wsgi_and_flask_instrumentation(rig: Rig) -> None:
    """With both, the Flask span (inside) takes the attributes."""
    app = app_with(rig, server_span="upstream")
    Client(OpenTelemetryMiddleware(app.wsgi_app, **rig.providers)).get("/", headers={"X-Request-ID": "r-1"})
    inner = next(span for span in rig.spans if span.name == "GET /" and span.parent is not None)
    assert (inner.attributes or {})["flask.request_id"] == "r-1"
    assert trace_of(inner) == trace_of(rig.server())


def roots(app: Flask, rig: Rig) -> None:
    """Root spans in every phase of a request."""
    tracer = rig.tracer_provider.get_tracer("mine")

    def root(name: str) -> None:
        tracer.start_span(name, context=trace.set_span_in_context(trace.INVALID_SPAN)).end()

    app.before_request(lambda: root("before"))

    @app.route("/")
    def view() -> str:
        root("view")
        return "ok"

    @app.after_request
    def after(response: Response) -> Response:
        root("after")
        return response


@pytest.mark.parametrize("first", [True, False])
def test_roots_around_the_server_span(rig: Rig, first: bool) -> None:
    """A root before the view shares the mapped trace with the server span; later ones are traces of their own."""
    app = rig.plain()
    if first:
        roots(app, rig)
        rig.chest(app)
    else:
        rig.chest(app)
        roots(app, rig)
    record, _ = ask(app, X_Request_ID="r-1")
    traces = {span.name: trace_of(span) for span in rig.spans}
    assert traces["before"] == traces["GET /"] == record.trace_id == trace_id_for("r-1")
    assert len({traces["view"], traces["after"], traces["GET /"]}) == 3


def test_roots_without_an_own_id(rig: Rig) -> None:
    """Without an id of its own, a request's other roots are random."""
    app = rig.plain()
    roots(app, rig)
    rig.chest(app)
    record, _ = ask(app)
    traces = {span.name: trace_of(span) for span in rig.spans}
    assert len(set(traces.values())) == 4
    assert record.request_id == traces["GET /"]


@pytest.mark.parametrize("when", ["before", "after", "class"])
def test_instrumented_before_and_after(rig: Rig, when: str) -> None:
    """The order of instrumentation and extension does not matter."""
    import flask  # noqa: PLC0415 - its name is what upstream replaces

    if when == "class":
        FlaskInstrumentor().instrument(**rig.providers)
    app = rig.plain(cls=flask.Flask)
    if when == "before":
        FlaskInstrumentor().instrument_app(app, **rig.providers)  # type: ignore[no-untyped-call]
    rig.chest(app, server_span=None if when == "after" else "auto")
    if when == "after":
        FlaskInstrumentor().instrument_app(app, **rig.providers)  # type: ignore[no-untyped-call]
    app.add_url_rule("/", view_func=ok)
    record, _ = ask(app, X_Request_ID="r-1")
    assert record.trace_id == trace_id_for("r-1") == trace_of(rig.server())


def test_fraction_kept_by_the_sampler(rig: Rig) -> None:
    """At a rate of one half, about half of the requests with UUIDs as ids are kept (400 of them, 5 sigma)."""
    rig.tracer_provider = rig.provider(sampler=ParentBased(TraceIdRatioBased(0.5)))
    app = app_with(rig)
    client = app.test_client()
    for number in range(400):
        client.get("/", headers={"X-Request-ID": str(uuid.UUID(int=number**9 + 1, version=4))})
    assert 150 < len(rig.servers()) < 250


def test_same_id_same_trace(rig: Rig) -> None:
    """A retry that repeats its id lands in the same trace, in any spelling of a UUID."""
    app = app_with(rig)
    text = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
    one, two = ask(app, X_Request_ID=text)[0], ask(app, X_Request_ID=text.upper())[0]
    assert one.trace_id == two.trace_id
    assert one.request_id != two.request_id


def test_secret(rig: Rig, put: Put) -> None:
    """With a secret, only who knows it can compute the trace id; inside the application it is the default."""
    app = rig.plain()
    app.add_url_rule("/", view_func=lambda: trace_id_for("r-1"))
    records = put(app, request_id_secret="s3cret", tracked_vars=["a"])  # noqa: S106 - a test's
    response = app.test_client().get("/", headers={"X-Request-ID": "r-1"})
    assert records[0].trace_id == response.text == trace_id_for("r-1", secret="s3cret") != trace_id_for("r-1")  # noqa: S106
    with app.app_context():
        assert trace_id_for("r-1") == response.text


def early(ids: list[str | None]) -> Callable[[], None]:
    return lambda: ids.append(current_request_id())


def test_id_asked_early(rig: Rig) -> None:
    """An id asked for before the server span is there becomes that span's trace id."""
    app, ids = rig.plain(), list[str | None]()
    app.before_request(early(ids))
    rig.chest(app)
    app.add_url_rule("/", view_func=ok)
    record, response = ask(app)
    assert ids == [record.request_id]
    assert record.trace_id == record.request_id == response.headers["X-Request-ID"] == trace_of(rig.server())


def test_id_asked_early_inside_a_span(rig: Rig) -> None:
    """The same, asked from inside a span of the application's own."""
    app, ids = rig.plain(), list[str | None]()

    @app.before_request
    def ask_inside() -> None:
        with rig.tracer_provider.get_tracer("mine").start_as_current_span("mine"):
            early(ids)()

    rig.chest(app)
    app.add_url_rule("/", view_func=ok)
    record, _ = ask(app)
    assert ids == [record.request_id]
    assert record.trace_id == record.request_id


def test_id_asked_inside_a_child_span(rig: Rig) -> None:
    """Asked from inside a span below the server's, before the view: the attributes still go to the server span."""
    app, ids = rig.app(tracked_vars=["a"]), list[str | None]()

    @app.before_request
    def ask_inside() -> None:
        with rig.tracer_provider.get_tracer("mine").start_as_current_span("auth"):
            early(ids)()
        g.a = 1

    app.add_url_rule("/", view_func=ok)
    record, _ = ask(app)
    assert ids == [record.request_id]
    assert rig.tracked() == {"a": 1}
    assert record.trace_id == trace_of(rig.server())


def test_id_asked_inside_a_view_without_server_span(rig: Rig) -> None:
    """Without a server span, a span of the view's own is not taken for one."""
    app = rig.app(tracked_vars=["a"], server_span=None)

    @app.route("/")
    def view() -> str:
        with rig.tracer_provider.get_tracer("mine").start_as_current_span("work"):
            current_request_id()
        return "ok"

    record, _ = ask(app)
    assert record.span_id is None


def test_id_everywhere_in_a_request(rig: Rig, put: Put) -> None:
    """``current_request_id`` is the same in every phase and thread; outside of a request there is none."""
    app, ids = rig.plain(), list[str | None]()

    @app.route("/")
    def view() -> str:
        early(ids)()
        thread = threading.Thread(target=copy_current_request_context(early(ids)))
        thread.start()
        thread.join()
        return "ok"

    @app.after_request
    def after(response: Response) -> Response:
        early(ids)()
        return response

    app.teardown_request(lambda _error: early(ids)())
    records = put(app, tracked_vars=["a"])
    app.test_client().get("/")
    assert len(ids) == 5
    assert set(ids) == {records[0].request_id}
    assert current_request_id() is None
    with app.app_context():
        assert current_request_id() is None
    with app.test_request_context():
        assert current_request_id() is None


# Response headers


def record_flags(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.trace_flags)


def test_headers_off(rig: Rig) -> None:
    """``response_headers=()`` sets none."""
    response = ask(app_with(rig, response_headers=()))[1]
    assert {"X-Request-ID", "traceresponse", "Server-Timing"}.isdisjoint(response.headers.keys())


@pytest.mark.parametrize("name", ["X-Request-ID", "traceresponse", "Server-Timing"])
def test_each_header_alone(rig: Rig, name: str) -> None:
    """Each header can be had alone, with what it promises."""
    record, response = ask(app_with(rig, response_headers=[name]))
    present = {"X-Request-ID", "traceresponse", "Server-Timing"} & set(response.headers.keys())
    assert present == {name}
    flags = record_flags(rig.server())
    parent = f"00-{record.trace_id}-{record.span_id}-{flags:02x}"
    expected = {
        "X-Request-ID": record.request_id,
        "traceresponse": parent,
        "Server-Timing": f'traceparent;desc="{parent}"',
    }
    assert response.headers.getlist(name) == [expected[name]]


def test_flags_tell_the_truth(rig: Rig) -> None:
    """``traceresponse`` says whether the trace is sampled, and its ids are the server span's."""
    rig.tracer_provider = rig.provider(sampler=ALWAYS_OFF)
    record, response = ask(app_with(rig, response_headers=["traceresponse"]), X_Request_ID="r")
    version, trace_id, _span_id, flags = response.headers["traceresponse"].split("-")
    assert (version, trace_id) == ("00", record.trace_id)
    assert int(flags, 16) & 1 == 0


def test_no_trace_no_header(rig: Rig) -> None:
    """Where no trace is, no trace header is."""
    response = ask(app_with(rig, response_headers=["traceresponse", "Server-Timing"], server_span=None))[1]
    assert {"traceresponse", "Server-Timing"}.isdisjoint(response.headers.keys())


def test_never_over_the_applications(rig: Rig) -> None:
    """A header that the application set stays as it is; its own timings stay beside ours."""
    app = rig.app(response_headers=["X-Request-ID", "traceresponse", "Server-Timing"])

    @app.route("/")
    def view() -> Response:
        response = make_response("ok")
        response.headers["x-request-id"] = "mine"
        response.headers["traceresponse"] = "mine"
        response.headers["Server-Timing"] = "db;dur=53"
        return response

    response = ask(app)[1]
    assert response.headers.getlist("X-Request-ID") == ["mine"]
    assert response.headers.getlist("traceresponse") == ["mine"]
    db, ours = response.headers.getlist("Server-Timing")
    assert db == "db;dur=53"
    assert ours.startswith("traceparent;desc=")


def test_not_doubled(rig: Rig) -> None:
    """With a global response propagator each header comes once."""
    set_global_response_propagator(TraceResponsePropagator())  # type: ignore[no-untyped-call]
    response = ask(app_with(rig, response_headers=["X-Request-ID", "traceresponse", "Server-Timing"]))[1]
    for name in ("X-Request-ID", "traceresponse", "Server-Timing"):
        assert len(response.headers.getlist(name)) == 1


def cors(app: Flask, **headers: str) -> None:
    @app.after_request
    def add(response: Response) -> Response:
        response.headers.extend({name.replace("_", "-"): text for name, text in headers.items()})
        return response


def test_exposed_where_cors_is_on(rig: Rig) -> None:
    """Where the application answers other origins, its scripts may read our headers; elsewhere nothing is added."""
    app = app_with(rig, response_headers=["X-Request-ID", "traceresponse"])
    cors(app, Access_Control_Allow_Origin="*", Access_Control_Expose_Headers="X-Mine, x-request-id")
    assert ask(app)[1].headers["Access-Control-Expose-Headers"] == "X-Mine, x-request-id, traceresponse"
    plain = rig.plain("plain")
    rig.chest(plain)
    plain.add_url_rule("/", view_func=ok)
    assert "Access-Control-Expose-Headers" not in ask(plain)[1].headers
    star = rig.plain("star")
    rig.chest(star)
    star.add_url_rule("/", view_func=ok)
    cors(star, Access_Control_Allow_Origin="*", Access_Control_Expose_Headers="*")
    assert ask(star)[1].headers["Access-Control-Expose-Headers"] == "*"


def test_one_response_for_many_requests(rig: Rig) -> None:
    """A response object that the application returns again gets each request's own headers, and keeps its own."""
    app = rig.plain()
    response = Response("ok", headers={"Server-Timing": "db;dur=1"})
    app.add_url_rule("/", "view", lambda: response)
    rig.chest(app, response_headers=["X-Request-ID", "traceresponse", "Server-Timing"])
    for request_id in ("r-1", "r-2", "r-3"):
        answer = app.test_client().get("/", headers={"X-Request-ID": request_id})
        trace_id = trace_id_for(request_id)
        assert answer.headers.getlist("X-Request-ID") == [request_id]
        [traceresponse] = answer.headers.getlist("traceresponse")
        own, timing = answer.headers.getlist("Server-Timing")
        assert own == "db;dur=1"
        assert trace_id in traceresponse
        assert trace_id in timing


def test_a_wsgi_callable_that_was_taken_before(rig: Rig) -> None:
    """Where a framework holds the application's WSGI callable already, answers have the id, and responses stay."""
    app = rig.plain()
    taken = app.wsgi_app
    response = Response("ok")
    before = list(response.headers)
    rig.chest(app)
    app.add_url_rule("/", "view", lambda: response)
    for asked in ("r-1", "r-2"):
        answer = Client(taken).get("/", headers={"X-Request-ID": asked})
        assert (answer.text, answer.headers.getlist("X-Request-ID")) == ("ok", [asked])
    assert list(response.headers) == before


@pytest.mark.slow
def test_one_response_for_many_threads(rig: Rig) -> None:
    """A response that several threads send at once is never touched: each answer has its own id, all keep theirs."""
    app = rig.plain()
    response = Response("ok", headers={"X-Own": "1"})
    before = list(response.headers)
    app.add_url_rule("/", "view", lambda: response)
    rig.chest(app, response_headers=["X-Request-ID", "traceresponse"])

    def ask_many(worker: int) -> list[tuple[str, list[str], str | None, str | None]]:
        client, found = app.test_client(), []
        for number in range(100):
            asked = f"r-{worker}-{number}"
            headers = client.get("/", headers={"X-Request-ID": asked}).headers
            found.append((asked, headers.getlist("X-Request-ID"), headers.get("Content-Type"), headers.get("X-Own")))
        return found

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = [answer for found in pool.map(ask_many, range(8)) for answer in found]
    finally:
        sys.setswitchinterval(interval)
    kept = ("text/html; charset=utf-8", "1")
    assert [answer for answer in answers if (answer[1], answer[2:]) != ([answer[0]], kept)] == []
    assert list(response.headers) == before


@pytest.mark.parametrize("server_span", ["chest", "upstream", None])
def test_on_errors_of_after_request_functions(rig: Rig, server_span: str | None) -> None:
    """An ``after_request`` function that raises leaves a 500, which has the id, too."""
    app = rig.app(server_span=server_span)
    app.add_url_rule("/", view_func=ok)

    @app.after_request
    def fail(_: Response) -> Response:
        raise RuntimeError

    record, response = ask(app)
    assert (response.status_code, response.headers["X-Request-ID"]) == (500, record.request_id)


@pytest.mark.parametrize("server_span", ["chest", "upstream"])
def test_sampled_out_roots(rig: Rig, server_span: str) -> None:
    """The id is the trace id of ``traceresponse`` also where nothing is kept; inside a trace it is one of its own."""
    rig.tracer_provider = rig.provider(sampler=ALWAYS_OFF)
    app = app_with(rig, response_headers=["X-Request-ID", "traceresponse"], server_span=server_span)
    record, response = ask(app)
    assert response.headers["traceresponse"].split("-")[1] == response.headers["X-Request-ID"] == record.request_id
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    record, response = ask(app, traceparent=parent)
    assert response.headers["traceresponse"].split("-")[1] == parent.split("-")[1] != response.headers["X-Request-ID"]


def test_on_errors_too(rig: Rig) -> None:
    """404 and 500 carry the id: that is when it is needed."""
    app = rig.app()

    @app.route("/")
    def view() -> str:
        raise RuntimeError

    record, response = ask(app)
    assert (response.status_code, response.headers["X-Request-ID"]) == (500, record.request_id)
    assert "X-Request-ID" in app.test_client().get("/missing").headers


def test_nothing_in_responses_under_the_instrumentor(rig: Rig) -> None:
    """Zero code adds no header."""
    FlaskChestInstrumentor().instrument(**rig.providers, response_headers=["X-Request-ID", "traceresponse"])
    app = rig.plain()
    app.add_url_rule("/", view_func=ok)
    assert {"X-Request-ID", "traceresponse"}.isdisjoint(app.test_client().get("/").headers.keys())


# The generator


def test_chest_id_generator(rig: Rig) -> None:
    """A provider made with ``ChestIdGenerator`` needs no shadow and gives mapped ids; outside, random ones."""
    generator = ChestIdGenerator()
    rig.tracer_provider = rig.provider(id_generator=generator)
    record, _ = ask(app_with(rig), X_Request_ID="r-1")
    assert record.trace_id == trace_id_for("r-1")
    assert vars(generator) == {}
    assert generator.is_trace_id_random()
    assert len({generator.generate_trace_id() for _ in range(100)}) == 100


def test_shadow_comes_off() -> None:
    """The shadow is put on once and leaves the generator as it was."""
    provider = TracerProvider(shutdown_on_exit=False)
    before = dict(vars(provider.id_generator))
    shadow(provider)
    once = dict(vars(provider.id_generator))
    shadow(provider)
    assert vars(provider.id_generator) == once != before
    unshadow(provider)
    unshadow(provider)
    assert vars(provider.id_generator) == before
    shadow(trace.NoOpTracerProvider())
    unshadow(object())


class Slotted(RandomIdGenerator):
    """A generator that forbids changes."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


@pytest.mark.guard_on
def test_generator_that_forbids_changes(rig: Rig) -> None:
    """Where the generator cannot be shadowed, the request keeps its id, in a random trace."""
    rig.tracer_provider = rig.provider(id_generator=Slotted())
    app = rig.app(tracked_vars=["a"])
    app.add_url_rule("/", view_func=flask_chest(chests=["x"])(lambda: current_request_id() or ""))
    record, response = ask(app, X_Request_ID="r-1")
    assert record.request_id == response.text == response.headers["X-Request-ID"] == "r-1"
    assert (rig.server().attributes or {})["flask.chests"] == "x"


def test_random_flag(rig: Rig) -> None:
    """The W3C "random" flag is off for ids that a client may choose, on with a secret and for ids made here."""
    if not hasattr(RandomIdGenerator, "is_trace_id_random"):
        pytest.skip("needs OpenTelemetry SDK 1.42")

    def flags(name: str, headers: dict[str, str], **options: Any) -> int:
        app = rig.plain(name)
        rig.chest(app, response_headers=["traceresponse"], **options)
        app.add_url_rule("/", view_func=ok)
        return int(ask(app, **headers)[1].headers["traceresponse"][-2:], 16)

    assert flags("inbound", {"X_Request_ID": "r"}) == 0b01
    assert flags("none", {}) == 0b11
    assert flags("secret", {"X_Request_ID": "r"}, request_id_secret="s") == 0b11  # noqa: S106 - a test's


def test_request_id_of_a_request_without_chest(rig: Rig) -> None:
    """Where no chest records, there is no id."""
    app = rig.plain()
    app.add_url_rule("/", view_func=lambda: str(current_request_id()) + flask_request.path)
    assert app.test_client().get("/").text == "None/"


@pytest.mark.guard_on
def test_a_route_whose_generator_fails_takes_the_application_s(rig: Rig) -> None:
    """Header, the route's generator, the application's, none: in this order."""

    def failing() -> str:
        raise RuntimeError

    app = rig.plain()
    rig.chest(app, request_id_generator=lambda: "of-the-app", tracked_vars=["a"])
    app.add_url_rule("/", view_func=flask_chest(request_id_generator=failing)(lambda: "ok"))
    record, _ = ask(app)
    assert record.request_id == "of-the-app"


@pytest.mark.parametrize(("of_the_app", "expected"), [(lambda: "of-the-app", "of-the-app"), (lambda: "", None)])
def test_an_empty_id_is_said_once(
    rig: Rig, caplog: pytest.LogCaptureFixture, of_the_app: Any, expected: str | None
) -> None:
    """The line about a generator that returns nothing is true whether the application's follows or nobody."""
    app = rig.plain()
    rig.chest(app, request_id_generator=of_the_app, tracked_vars=["a"])
    app.add_url_rule("/", view_func=flask_chest(request_id_generator=lambda: None)(lambda: "ok"))
    record, _ = ask(app)
    assert record.request_id == expected or (expected is None and record.request_id)
    (line,) = caplog.messages
    assert line == "request_id_generator returned None: the request gets its id elsewhere" + _guard.COUNTED
