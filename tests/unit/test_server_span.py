"""The server span that the chest makes by itself: from the WSGI entry to the last byte of the body."""

from __future__ import annotations

import gc
import io
import os
import threading
import time
import tracemalloc
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, IncompleteRead
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

import pytest
from flask import Flask, Request, Response, abort, g, request, send_file, stream_with_context
from flask.sessions import SessionInterface
from flask.views import View
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.propagators import TraceResponsePropagator, set_global_response_propagator
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode
from werkzeug.exceptions import Conflict, ServiceUnavailable
from werkzeug.exceptions import HTTPException as WerkzeugException
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.routing import BaseConverter
from werkzeug.serving import make_server
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from flask_chest_otel import FlaskChestInstrumentor, TrackedVar, _guard, count_requests, current_request_id, flask_chest
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Rig

DURATION = "http.server.request.duration"
ACTIVE = "http.server.active_requests"


def quiet(*_: Any) -> Any:
    """A ``start_response`` that does nothing."""


def set_a() -> str:
    g.a = 1
    return "ok"


def chunk(number: int) -> str:
    return f"{number}:{trace.get_current_span().get_span_context().span_id:016x} "


def streaming(app: Flask, path: str = "/stream", chunks: int = 3, pause_s: float = 0.0) -> None:
    """A route whose body is made while it is sent, and sets a value at its end."""

    def view() -> Response:
        def body() -> Iterator[str]:
            for number in range(chunks):
                time.sleep(pause_s)
                yield chunk(number)
            g.total = chunks

        return Response(stream_with_context(body()))

    app.add_url_rule(path, path.strip("/"), view)


def environ(path: str = "/", **headers: str) -> dict[str, Any]:
    sent = [(name.replace("_", "-"), text) for name, text in headers.items()]
    return EnvironBuilder(path, headers=sent).get_environ()


def test_names_and_attributes(rig: Rig) -> None:
    """Name, kind and attributes are those of the stable HTTP conventions."""
    app = rig.app()
    app.add_url_rule("/cart/<int:cart_id>", "cart", lambda cart_id: f"cart {cart_id}", methods=["GET"])
    app.test_client().get("/cart/7?page=2&sig=secret", headers={"User-Agent": "me/1"}).get_data()
    span = rig.server()
    assert (span.name, span.kind) == ("GET /cart/<int:cart_id>", SpanKind.SERVER)
    of_http = {name: value for name, value in (span.attributes or {}).items() if not name.startswith("flask.")}
    assert of_http == {
        "http.request.method": "GET",
        "http.route": "/cart/<int:cart_id>",
        "code.function.name": f"{__name__}.test_names_and_attributes.<locals>.<lambda>",
        "url.scheme": "http",
        "url.path": "/cart/7",
        "url.query": "page=2&sig=REDACTED",
        "server.address": "localhost",
        "server.port": 80,
        "client.address": "127.0.0.1",
        "user_agent.original": "me/1",
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
    }
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "flask_chest_otel"


@pytest.mark.parametrize(
    "path", ["/caf%C3%A9", "/root/%E2%82%AC;v=1/a%20b", "/%FF", "/plain@1", "/a%3Fb", "/a%23b%25/c%5B%22%5D"]
)
def test_paths_are_those_of_the_uri(rig: Rig, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """What may not stand in a path is percent-encoded as the client has sent it, also where it is no UTF-8."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    app = rig.app()
    made = {**environ("/?a=b"), "PATH_INFO": unquote(path, "latin-1")}  # as PEP 3333 has it
    run_wsgi_app(app, made, buffered=True)
    attributes = rig.server().attributes or {}
    assert (attributes["url.path"], attributes["http.target"]) == (path, f"{path}?a=b")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("token=s3&page=2", "token=REDACTED&page=2"),
        ("code=s3&state=x&api_key=s3", "code=REDACTED&state=x&api_key=REDACTED"),
        ("X-Amz-Signature=s3&AWSAccessKeyId=s3", "X-Amz-Signature=REDACTED&AWSAccessKeyId=REDACTED"),
        ("q=caf\u00c3\u00a9&a=%C3%A9+b", "q=caf%C3%A9&a=%C3%A9+b"),  # bytes of UTF-8, as PEP 3333 has them
        ("q=\u00ff&pin=\u00ff", "q=%FF&pin=REDACTED"),
    ],
)
def test_queries(rig: Rig, monkeypatch: pytest.MonkeyPatch, query: str, shown: str) -> None:
    """Values of sensitive parameters are not shown, and bytes that are not ASCII are percent-encoded."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    run_wsgi_app(rig.app(), {**environ("/"), "QUERY_STRING": query}, buffered=True)
    attributes = rig.server().attributes or {}
    assert (attributes["url.query"], attributes["http.target"]) == (shown, f"/?{shown}")


def test_unknown_method_and_no_route(rig: Rig) -> None:
    """An unknown method is _OTHER, its span HTTP; without a route the name is the method alone."""
    app = rig.app()
    client = app.test_client()
    client.open("/none", method="BREW").get_data()
    client.get("/none").get_data()
    brew, get = rig.servers()
    assert (brew.name, get.name) == ("HTTP", "GET")
    assert (brew.attributes or {})["http.request.method"] == "_OTHER"
    assert (brew.attributes or {})["http.request.method_original"] == "BREW"
    assert {point.attributes["http.request.method"] for point in rig.points(DURATION)} == {"_OTHER", "GET"}


@pytest.mark.guard_on
def test_a_span_processor_that_raises(rig: Rig) -> None:
    """One of the application's that fails at the span's end takes neither the measurement nor the answer with it."""

    class Raising(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise LookupError(span.name)

    rig.tracer_provider.add_span_processor(Raising())
    app = rig.app()
    app.add_url_rule("/x", view_func=lambda: "ok")
    assert app.test_client().get("/x").text == "ok"
    assert [point.count for point in rig.points(DURATION)] == [1]
    assert _guard.totals()[1] == {"span processor": 1}


def test_sampler_sees_the_request(rig: Rig) -> None:
    """What sampling depends on is there when the span starts."""
    seen: dict[str, Any] = {}

    class Watching(Sampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            seen.update(kwargs.get("attributes") or args[4])
            return SamplingResult(Decision.RECORD_AND_SAMPLE, seen)

        def get_description(self) -> str:
            return "watching"

    rig.tracer_provider = rig.provider(sampler=Watching())
    app = rig.app()
    app.add_url_rule("/<name>", view_func=lambda name: name)
    app.test_client().get("/x?a=b").get_data()
    assert {"http.request.method", "http.route", "url.path", "url.query", "server.address"} <= seen.keys()


def test_old_names_beside_the_new_ones(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SEMCONV_STABILITY_OPT_IN=http/dup gives both generations of names, as it does upstream."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    app.test_client().get("/?a=b").get_data()
    attributes = rig.server().attributes or {}
    assert (attributes["http.method"], attributes["http.request.method"]) == ("GET", "GET")
    assert (attributes["http.status_code"], attributes["http.response.status_code"]) == (200, 200)
    assert attributes["http.target"] == "/?a=b"
    assert rig.points("http.server.duration")[0].attributes["http.method"] == "GET"
    assert rig.points(DURATION)[0].count == 1


def test_streamed_body_is_measured(rig: Rig) -> None:
    """Span and duration reach to the last byte; the span is current in the generator; late values are recorded."""
    app = rig.app(tracked_vars=["total"])
    streaming(app, pause_s=0.02)
    with capture(app) as records:
        text = app.test_client().get("/stream").get_data(as_text=True)
    span = rig.server()
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time >= 0.06e9
    assert rig.points(DURATION)[0].sum >= 0.06
    assert {part.split(":")[1] for part in text.split()} == {f"{span.context.span_id:016x}"}
    assert dict(records[0].variables) == {"total": 3}
    assert records[0].duration_s >= 0.06
    assert rig.tracked(span) == {"total": 3}


@pytest.mark.parametrize("status", [200, 302, 404, 503])
@pytest.mark.parametrize("aborted", [False, True])
def test_streamed_body_of_known_length(rig: Rig, status: int, *, aborted: bool) -> None:
    """A body made while it is sent is waited for, whatever its status, its length, and how the view answers with it."""
    app = rig.app(tracked_vars=["n"])

    @app.get("/")
    def view() -> Response:
        def body() -> Iterator[str]:
            time.sleep(0.02)
            g.n = 5
            yield "abc"

        response = Response(stream_with_context(body()), status=status, headers={"Content-Length": "3"})
        if aborted:
            abort(response)
        return response

    with capture(app) as records:
        assert app.test_client().get("/").text == "abc"
    span = rig.server()
    assert (span.end_time or 0) - (span.start_time or 0) >= 0.02e9
    assert rig.tracked(span) == {"n": 5}
    assert [(record.status, dict(record.variables)) for record in records] == [(status, {"n": 5})]


@pytest.mark.parametrize("path", ["/none", "/slash", "/abort", "/own", "/boom"])
def test_pages_of_exceptions_are_complete(rig: Rig, path: str) -> None:
    """What Flask answers for an exception has its span and record before a byte is sent, also unread."""
    app = rig.app()
    app.add_url_rule("/slash/", "slash", lambda: "ok")
    app.add_url_rule("/abort", "abort", lambda: abort(404))
    app.add_url_rule("/own", "own", lambda: abort(409))
    app.register_error_handler(409, lambda error: error)
    app.add_url_rule("/boom", "boom", lambda: str(1 / 0))
    with capture(app) as records:
        body: Any = app(environ(path), quiet)
        assert len(rig.servers()) == len(records) == 1
        body.close()
    assert len(rig.servers()) == 1


def test_client_goes_away(rig: Rig) -> None:
    """A generator that is closed early ends the span once, with what was set by then."""
    app = rig.app(tracked_vars=["total", "begun"])

    @app.get("/")
    def view() -> Response:
        g.begun = True
        return Response(stream_with_context(str(number) for number in range(100)))

    body: Any = app(environ(), quiet)
    assert next(body) == b"0"
    assert rig.servers() == []
    body.close()
    body.close()
    assert rig.tracked() == {"begun": True}
    assert rig.points(ACTIVE)[0].value == 0


@pytest.mark.slow
def test_server_forgets_to_close(rig: Rig) -> None:
    """A body that is dropped without close() ends its span as of that moment, with the next request or a flush."""
    app = rig.plain()
    chest = rig.chest(app, tracked_vars=["a"])
    app.add_url_rule("/", view_func=lambda: Response(map(chunk, range(3))))
    app.add_url_rule("/next", "next", set_a)

    def drop() -> int:
        body: Any = app(environ(), quiet)
        next(body)
        cycle = [body]
        cycle.append(cycle)
        del body, cycle
        gc.collect()
        dropped_ns = time.time_ns()
        time.sleep(0.2)
        return dropped_ns

    first_ns = drop()
    assert rig.servers() == []
    app.test_client().get("/next")
    second_ns = drop()
    chest.force_flush()
    first, following, second = rig.servers()
    assert [span.name for span in (first, following, second)] == ["GET /", "GET /next", "GET /"]
    times_s = 0.0
    for span, dropped_ns in ((first, first_ns), (second, second_ns)):
        assert (span.start_time or 0) < (span.end_time or 0) < dropped_ns + 0.1e9
        times_s += ((span.end_time or 0) - (span.start_time or 0)) / 1e9
    (point,) = [point for point in rig.points(DURATION) if point.attributes["http.route"] == "/"]
    assert point.sum == pytest.approx(times_s, abs=0.001)
    assert [point.value for point in rig.points(ACTIVE)] == [0]


def test_a_thousand_dropped_bodies_burden_no_request(rig: Rig) -> None:
    """The next request ends a few of them; a flush ends all, and the record of each is there."""
    app = rig.plain()
    chest = rig.chest(app)
    app.add_url_rule("/", view_func=lambda: Response(map(chunk, range(3))))
    app.add_url_rule("/next", "next", set_a)
    with capture(app) as records:
        for _ in range(3):
            bodies: list[Any] = [app(environ(), quiet) for _ in range(10)]
            bodies.clear()
        app.test_client().get("/next")
        assert len(records) < 30
        chest.force_flush()
        assert len(records) == len(rig.servers()) == 31


@pytest.mark.process
def test_active_requests_of_a_parent(rig: Rig) -> None:
    """A child that is forked inside a request answers none of its parent's, and measures its own."""
    app = rig.app()

    @app.get("/")
    def view() -> str:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            found = [point.value for point in rig.points(ACTIVE)]
            os.write(writing, repr(found).encode())
            os._exit(0)
        os.waitpid(child, 0)
        return os.read(reading, 100).decode() + str([point.value for point in rig.points(ACTIVE)])

    assert app.test_client().get("/").text == "[][1]"


@pytest.mark.parametrize("dup", [False, True])
def test_durations_are_as_many_as_the_limit(rig: Rig, monkeypatch: pytest.MonkeyPatch, *, dup: bool) -> None:
    """Routes beyond ``cardinality_limit`` are one overflow point, under either name; the counts stay exact."""
    if dup:
        monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    app = rig.app(cardinality_limit=4)
    for number in range(6):
        app.add_url_rule(f"/{number}", str(number), lambda: "ok")
    for number in (*range(6), 0, 5):
        app.test_client().get(f"/{number}")
    for metric in (DURATION, "http.server.duration")[: 1 + dup]:
        points = rig.points(metric)
        assert len(points) == 4
        (overflow,) = [point for point in points if dict(point.attributes) == {"otel.metric.overflow": True}]
        assert (overflow.count, sum(point.count for point in points)) == (4, 8)


def test_mounted_applications_are_told_apart(rig: Rig) -> None:
    """``http.route`` has the root at which an application is mounted, on the span and on all metrics."""
    shop, bank = rig.plain("shop"), rig.plain("bank")
    with capture_both(rig, shop, bank) as records:
        client = Client(DispatcherMiddleware(shop, {"/bank": bank, "/bank/two": bank}))
        for path in ("/pay/1", "/bank/pay/1", "/bank/two/pay/1"):
            client.get(path)
    routes = ["/pay/<number>", "/bank/pay/<number>", "/bank/two/pay/<number>"]
    assert [(span.attributes or {})["http.route"] for span in rig.servers()] == routes
    assert [span.name for span in rig.servers()] == [f"GET {route}" for route in routes]
    for metric in (DURATION, "flask.g.a", "requestcount"):
        assert {point.attributes["http.route"] for point in rig.points(metric)} == set(routes), metric
    assert {record.route for record in records} == {"/pay/<number>"}


@contextmanager
def capture_both(rig: Rig, *apps: Flask) -> Iterator[list[Any]]:
    """What applications with one route each record, together."""
    with ExitStack() as stack:
        found: list[Any] = []
        for app in apps:
            rig.chest(app, tracked_vars=["a"])
            app.add_url_rule("/pay/<number>", view_func=count_requests(lambda **_: set_a()))
            stack.callback(found.extend, stack.enter_context(capture(app)))
        yield found


@pytest.mark.guard_on
def test_roots_that_clients_choose(rig: Rig) -> None:
    """A prefix that a proxy passes on unchecked does not multiply routes without end."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    for number in range(60):
        run_wsgi_app(app, {**environ(), "SCRIPT_NAME": f"/{number}"}, buffered=True)
    routes = [(span.attributes or {})["http.route"] for span in rig.servers()]
    assert routes == [f"/{number}/" for number in range(50)] + ["/"] * 10


def test_generator_raises(rig: Rig) -> None:
    """An exception in the body goes on to the server, and is on the span."""
    app = rig.app()

    @app.get("/")
    def view() -> Response:
        def body() -> Iterator[str]:
            yield "a"
            raise ValueError("broken body")

        return Response(body())

    body: Any = app(environ(), quiet)
    next(body)
    with pytest.raises(ValueError, match="broken body"):
        next(body)
    body.close()
    span = rig.server()
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


def test_interleaved_streams_on_one_thread(rig: Rig) -> None:
    """Two bodies that are sent piece by piece in turns keep their own spans."""
    app = rig.app()
    app.add_url_rule("/one", "one", lambda: Response(map(chunk, range(3))))
    app.add_url_rule("/two", "two", lambda: Response(map(chunk, range(3))))
    bodies: list[Any] = [app(environ(path), quiet) for path in ("/one", "/two")]
    texts = [next(body).decode() for _ in range(3) for body in bodies]
    for body in bodies:
        assert list(body) == []
        body.close()
    ids = {span.name: f"{span.context.span_id:016x}" for span in rig.servers() if span.context is not None}
    assert {text.split(":")[1].strip() for text in texts[::2]} == {ids["GET /one"]}
    assert {text.split(":")[1].strip() for text in texts[1::2]} == {ids["GET /two"]}
    assert not trace.get_current_span().get_span_context().is_valid


def test_body_in_another_thread(rig: Rig) -> None:
    """A server may send the body from another thread than the one that called the application."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: Response(map(chunk, range(3))))
    body: Any = app(environ(), quiet)
    pieces: list[bytes] = []

    def send() -> None:
        pieces.extend(body)
        body.close()

    sender = threading.Thread(target=send)
    sender.start()
    sender.join()
    assert rig.server().context is not None
    assert {piece.split(b":")[1].strip().decode() for piece in pieces} == {f"{rig.server().context.span_id:016x}"}
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_wsgi_is_kept(rig: Rig, *, inside: bool) -> None:
    """The application stays a correct WSGI application, with the validator on either side of ours."""
    app = rig.plain()
    if inside:
        app.wsgi_app = validator(app.wsgi_app)  # type: ignore[assignment, method-assign]
    rig.chest(app, tracked_vars=["total"])
    streaming(app)
    app.add_url_rule("/", view_func=lambda: "ok")
    client = Client(app if inside else validator(app))
    for path in ("/", "/stream", "/none"):
        client.get(path, buffered=True).close()
    assert len(rig.servers()) == 3


def test_failed_requests_are_measured(rig: Rig) -> None:
    """A view that raises has a duration, an error type, an exception on its span, and status 500."""
    app = rig.app()

    @app.get("/")
    def view() -> str:
        raise LookupError("gone")

    client = app.test_client()
    assert client.get("/").status_code == 500
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(LookupError):
        client.get("/")
    first, second = rig.servers()
    for span in (first, second):
        assert (span.attributes or {})["error.type"] == "LookupError"
        assert (span.attributes or {})["http.response.status_code"] == 500
        assert span.status.status_code is StatusCode.ERROR
        assert [event.name for event in span.events] == ["exception"]
    (point,) = rig.points(DURATION)
    assert (point.count, point.attributes["error.type"]) == (2, "LookupError")


@pytest.mark.parametrize("server_span", ["chest", "upstream"])
def test_handled_exceptions_are_events(rig: Rig, server_span: str) -> None:
    """What an error handler answers is an event, on either span, unless switched off; abort() is none."""
    for number, options in enumerate(({}, {"handled_exceptions": False})):
        app = rig.plain(f"app{number}")
        rig.chest(app, server_span=server_span, **options)
        app.register_error_handler(LookupError, lambda _error: ("sorry", 409))

        @app.before_request
        def before() -> None:
            if request.path == "/early":
                raise LookupError("gone before the view")

        @app.get("/<kind>")
        def view(kind: str) -> str:
            if kind == "abort":
                abort(404)
            raise LookupError("gone")

        for kind in ("raise", "abort", "early"):
            app.test_client().get(f"/{kind}").get_data()
    events = [[event.name for event in span.events] for span in rig.servers()]
    assert events == [["exception"], [], ["exception"], [], [], []]
    assert [span.status.status_code for span in rig.servers()] == [StatusCode.UNSET] * 6


@pytest.mark.parametrize(
    ("answer", "with_stack"),
    [
        (("", 204), False),
        (("busy", HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "1"}), True),
        (("busy", "503 BUSY"), True),
        (("gone", "GONE"), False),
        ("sorry", False),
        (("sorry", {"X-Why": "text"}), False),
        (Response("busy", 503), True),
        ((Response("busy", 503), {"X-Why": "text"}), True),
        (ServiceUnavailable(), True),
        (Conflict(), False),
    ],
)
@pytest.mark.parametrize("server_span", ["chest", "upstream"])
def test_a_stack_only_of_failures(rig: Rig, server_span: str, answer: Any, with_stack: bool) -> None:
    """The event and the record of a handled exception have its stack where the answer is 500 or above."""
    app = rig.plain()
    rig.chest(app, server_span=server_span)
    app.register_error_handler(LookupError, lambda _error: answer)

    @app.get("/")
    def view() -> str:
        raise LookupError("gone")

    with capture(app) as records:
        response = app.test_client().get("/")
    assert (response.status_code >= 500) is with_stack
    said = [dict(event.attributes or {}) for event in rig.server().events if event.name == "exception"]
    assert [(one["exception.type"], one["exception.message"]) for one in said] == [("LookupError", "gone")]
    assert ["exception.stacktrace" in one for one in said] == [with_stack]
    error = records[0].error
    assert error is not None
    assert (error.type, error.message, error.handled) == ("LookupError", "gone", True)
    assert ("Traceback" in error.stack) is with_stack
    assert error.place.startswith(f"{__name__}:view:") or error.place == ""


class Broken(SessionInterface):
    """A session store that cannot be reached."""

    def open_session(self, app: Flask, request: Request) -> Any:
        raise ConnectionError("no session store")


class Failing(BaseConverter):
    """An argument of a URL that cannot be read."""

    def to_python(self, value: str) -> Any:
        raise LookupError(value)


@pytest.mark.parametrize("propagated", [False, True])
@pytest.mark.parametrize("server_span", ["chest", "upstream"])
def test_failures_before_the_dispatch(
    rig: Rig, caplog: pytest.LogCaptureFixture, server_span: str, propagated: bool
) -> None:
    """A session store that is away, and a URL converter that raises: one record and span each, as of any failure."""
    app, other = rig.plain(), rig.plain("other")
    for one in (app, other):
        rig.chest(one, server_span=server_span, excluded_urls="/excluded")
        one.config["PROPAGATE_EXCEPTIONS"] = propagated
        one.url_map.converters["failing"] = Failing
        one.add_url_rule("/<failing:number>", "number", lambda number: "ok")  # noqa: ARG005
    app.session_interface = Broken()
    with capture(app) as records, capture(other) as others:
        for one, path in ((app, "/cart"), (other, "/seven"), (app, "/excluded")):
            try:
                answer = one.test_client().get(path, headers={"X-Request-ID": "r-1"})
            except (ConnectionError, LookupError):
                assert propagated
            else:
                assert (answer.status_code, answer.headers.get("X-Request-ID")) == (
                    500,
                    "r-1" if path != "/excluded" else None,
                )
    found = [(one.path, one.route, one.status, one.request_id, one.error) for one in [*records, *others]]
    assert [(path, *rest, error and (error.type, error.handled)) for path, *rest, error in found] == [
        ("/cart", None, 500, "r-1", ("ConnectionError", False)),
        ("/seven", None, 500, "r-1", ("LookupError", False)),
    ]
    assert [f"{span.context.trace_id:032x}" for span in rig.servers()] == [one.trace_id for one in [*records, *others]]
    assert [(span.attributes or {})["http.response.status_code"] for span in rig.servers()] == [500, 500]
    said = [vars(line)["request_id"] for line in caplog.records if line.message.startswith("Exception on")]
    assert said == ([] if propagated else ["r-1", "r-1", "-"])


def test_a_body_that_fails_before_its_first_piece(rig: Rig) -> None:
    """A server sends no status before the first piece, and answers 500: span, metric and record say 500 as well."""
    app = rig.app()

    @app.get("/<int:sent>")
    def view(sent: int) -> Response:
        def body() -> Iterator[bytes]:
            yield from [b"x"] * sent
            raise LookupError("gone")

        return Response(body())

    server = make_server("127.0.0.1", 0, app, threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        with capture(app) as records:
            for sent in (0, 1):
                connection = HTTPConnection("127.0.0.1", server.port)
                connection.request("GET", f"/{sent}")
                answer = connection.getresponse()
                assert answer.status == (200 if sent else 500)
                with suppress(IncompleteRead):
                    answer.read()
                connection.close()
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
    assert [(one.status, one.error and one.error.type) for one in records] == [
        (500, "LookupError"),
        (200, "LookupError"),
    ]
    assert [(span.attributes or {})["http.response.status_code"] for span in rig.servers()] == [500, 200]
    assert [point.attributes["http.response.status_code"] for point in rig.points(DURATION)] == [500, 200]


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("server_span", ["chest", "upstream"])
def test_a_framework_in_place_of_error_handlers(rig: Rig, server_span: str, early: bool, status: int) -> None:
    """Where a framework answers exceptions itself, as Flask-RESTX does, they are told of once, as handled ones."""
    app = rig.plain()
    if early:
        rig.chest(app, server_span=server_span)

    def route_error(original: Any, error: Exception) -> Any:
        return ("framework", status) if request.path == "/api" else original(error)

    for name in ("handle_exception", "handle_user_exception"):
        setattr(app, name, partial(route_error, getattr(app, name)))
    if not early:
        rig.chest(app, server_span=server_span)

    @app.get("/api")
    @app.get("/page")
    def view() -> str:
        raise LookupError("gone")

    with capture(app) as records:
        assert app.test_client().get("/api").text == "framework"
        assert app.test_client().get("/page").status_code == 500
    told = [[dict(event.attributes or {})["exception.type"] for event in span.events] for span in rig.servers()]
    assert told == [["LookupError"], ["LookupError"]]
    first, second = (record.error for record in records)
    assert first is not None
    assert second is not None
    assert [(one.type, one.handled) for one in (first, second)] == [("LookupError", True), ("LookupError", False)]
    assert ("Traceback" in first.stack) is (status >= 500)


@pytest.mark.parametrize(
    "left_out", [[LookupError], "LookupError,shop.NotThere", ["LookupError"], "builtins.LookupError"]
)
@pytest.mark.parametrize("server_span", ["chest", "upstream"])
def test_exceptions_that_are_left_out(rig: Rig, server_span: str, left_out: Any) -> None:
    """What is derived from a named exception leaves no event and no error in the record; others do."""
    app = rig.plain()
    rig.chest(app, server_span=server_span, handled_exceptions=left_out)
    app.register_error_handler(LookupError, lambda _error: ("", 204))
    app.register_error_handler(ValueError, lambda _error: ("", 204))

    @app.get("/<kind>")
    def view(kind: str) -> str:
        raise KeyError(kind) if kind == "flow" else ValueError(kind)

    with capture(app) as records:
        for kind in ("flow", "other"):
            assert app.test_client().get(f"/{kind}").status_code == 204
    assert [[event.name for event in span.events] for span in rig.servers()] == [[], ["exception"]]
    assert [one.error.type if one.error else None for one in records] == [None, "ValueError"]


@pytest.mark.guard_on
def test_exception_without_text(rig: Rig) -> None:
    """An exception whose text cannot be had still ends its span and is measured."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text either")

    app = rig.app()

    @app.get("/")
    def view() -> str:
        raise MuteError

    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(MuteError):
        app.test_client().get("/")
    assert (rig.server().attributes or {})["http.response.status_code"] == 500
    assert rig.server().status.status_code is StatusCode.ERROR
    assert rig.points(DURATION)[0].attributes["error.type"].endswith("MuteError")


@pytest.mark.parametrize("handled", [False, True])
def test_exceptions_quote_clients(rig: Rig, *, handled: bool) -> None:
    """Whatever an exception's text holds, its span can be encoded, and is small; a trace keeps both its ends."""
    app = rig.app(value_limit_chars=100)
    words = {"surrogate": "no coupon \ud800", "long": "x" * 1_000_000, "plain": "no coupon"}

    @app.get("/<kind>")
    def view(kind: str) -> str:
        raise ValueError(words[kind])

    if handled:
        app.register_error_handler(ValueError, lambda _error: ("sorry", 503))
    for kind in words:
        app.test_client().get(f"/{kind}").get_data()
    sent = encode_spans(rig.servers()).SerializeToString()
    assert len(sent) < 40_000
    events = [dict(span.events[0].attributes or {}) for span in rig.servers()]
    assert [event["exception.message"] for event in events] == ["no coupon \ufffd", "x" * 100, "no coupon"]
    assert {event["exception.type"] for event in events} == {"ValueError"}
    traces = [str(event["exception.stacktrace"]) for event in events]
    assert [len(trace) <= 16_384 for trace in traces] == [True] * 3
    assert all(trace.startswith("Traceback") and "in view" in trace for trace in traces)
    assert traces[0].endswith("ValueError: no coupon \ufffd\n")
    assert traces[1].endswith("xxx\n")
    assert traces[2].endswith("ValueError: no coupon\n")
    if not handled:
        descriptions = [span.status.description for span in rig.servers()]
        assert descriptions == [f"ValueError: {event['exception.message']}" for event in events]


def test_statuses(rig: Rig) -> None:
    """5xx is an error of the server; 4xx is none."""
    app = rig.app()
    app.add_url_rule("/<int:status>", view_func=lambda status: ("text", status))
    client = app.test_client()
    for status in (204, 302, 404, 503):
        client.get(f"/{status}").get_data()
    found = [(span.status.status_code, (span.attributes or {}).get("error.type")) for span in rig.servers()]
    assert found == [(StatusCode.UNSET, None)] * 3 + [(StatusCode.ERROR, "503")]


@pytest.mark.parametrize("end", [StopIteration(), ConnectionResetError(), None], ids=["raised", "reset", "empty"])
def test_web_sockets(rig: Rig, end: Exception | None) -> None:
    """A response that has used the connection itself, and says so to the server as flask-sock does, is no failure."""

    class Socket(Response):
        def __call__(self, *_: Any, **__: Any) -> Any:
            if end is not None:
                raise end
            return []

    app = rig.app()
    app.add_url_rule("/", view_func=Socket)
    with pytest.raises(type(end)) if end is not None else nullcontext():
        app(environ(), quiet)
    span = rig.server()
    attributes = span.attributes or {}
    assert (attributes["http.response.status_code"], attributes.get("error.type")) == (200, None)
    assert (span.status.status_code, span.events) == (StatusCode.UNSET, ())
    (point,) = rig.points(DURATION)
    assert (point.attributes["http.response.status_code"], point.attributes.get("error.type")) == (200, None)


class Page(View):
    """A view that is a class."""

    def dispatch_request(self) -> str:
        """Answer."""
        return "ok"


def test_the_view_is_named(rig: Rig) -> None:
    """code.function.name is the view function's full name, that of a view's class, and none where there is no view."""
    app = rig.app()
    app.add_url_rule("/function", view_func=set_a)
    app.add_url_rule("/class", view_func=Page.as_view("page"))
    app.add_url_rule("/object", "object", partial(set_a))
    for path in ("/function", "/class", "/object", "/nowhere"):
        app.test_client().get(path).get_data()
    found = [(span.attributes or {}).get("code.function.name") for span in rig.servers()]
    assert found == [f"{__name__}.set_a", f"{__name__}.Page", None, None]


HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket"}


@pytest.mark.parametrize("end", ["gunicorn", "gevent", "werkzeug"])
def test_routes_of_web_sockets(rig: Rig, end: str) -> None:
    """As flask-sock ends them on three servers, they are a 101 on span and record, and have no duration."""

    class Socket(Response):
        def __call__(self, *arguments: Any) -> Any:
            if end == "gunicorn":
                raise StopIteration
            return [] if end == "gevent" else super().__call__(*arguments)

    app = rig.app()
    app.add_url_rule("/", view_func=Socket, websocket=True)
    with capture(app) as records, pytest.raises(StopIteration) if end == "gunicorn" else nullcontext():
        app(EnvironBuilder("/", headers=list(HANDSHAKE.items())).get_environ(), quiet)
    assert (rig.server().attributes or {})["http.response.status_code"] == 101
    assert [record.status for record in records] == [101]
    assert rig.points(DURATION) == []
    assert [point.value for point in rig.points(ACTIVE)] == [0]


def test_routes_of_web_sockets_that_refuse(rig: Rig) -> None:
    """A route for web sockets that answers 403 before the handshake is a request like others."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: ("no", 403), websocket=True)
    assert app.test_client().get("/", headers=HANDSHAKE).status_code == 403
    assert (rig.server().attributes or {})["http.response.status_code"] == 403
    assert [point.attributes["http.response.status_code"] for point in rig.points(DURATION)] == [403]


@pytest.mark.parametrize("error", [ValueError(), ConnectionResetError()], ids=["other", "started"])
def test_responses_that_fail(rig: Rig, error: Exception) -> None:
    """Any other exception of a response is a failure, and so is one after it has begun."""

    class Broken(Response):
        def __call__(self, environ: Any, start_response: Any) -> Any:
            if isinstance(error, ConnectionError):
                start_response("200 OK", [])
            raise error

    app = rig.app()
    app.add_url_rule("/", view_func=Broken)
    with pytest.raises(type(error)):
        app(environ(), quiet)
    span = rig.server()
    status = 200 if isinstance(error, ConnectionError) else 500
    assert (span.attributes or {})["http.response.status_code"] == status
    assert (span.attributes or {})["error.type"] == type(error).__name__
    assert span.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("error", [StopIteration(), ConnectionResetError()], ids=["iteration", "connection"])
def test_views_that_fail_like_sockets(rig: Rig, error: Exception) -> None:
    """A view that raises what ends a web socket has failed."""
    app = rig.app()
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.get("/")
    def view() -> str:
        raise error

    with pytest.raises(type(error)):
        app(environ(), quiet)
    assert (rig.server().attributes or {})["error.type"] == type(error).__name__
    assert (rig.server().attributes or {})["http.response.status_code"] == 500


def test_teardown_functions_that_fail(rig: Rig) -> None:
    """An exception of a teardown function takes the place of a response that was begun: servers answer 500."""
    app = rig.app()
    app.add_url_rule("/", view_func=set_a)

    @app.teardown_request
    def fail(_: BaseException | None) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        app(environ(), quiet)
    assert (rig.server().attributes or {})["http.response.status_code"] == 500
    assert (rig.server().attributes or {})["error.type"] == "LookupError"
    (point,) = rig.points(DURATION)
    assert point.attributes["http.response.status_code"] == 500


def test_active_requests(rig: Rig) -> None:
    """A request counts as active from its begin to its last byte."""
    app = rig.app()
    inside: list[int] = []

    @app.get("/")
    def view() -> str:
        inside.extend(point.value for point in rig.points(ACTIVE))
        return "ok"

    app.test_client().get("/").get_data()
    assert inside == [1]
    assert [point.value for point in rig.points(ACTIVE)] == [0]


def test_excluded_altogether(rig: Rig) -> None:
    """An excluded URL has no span, no duration, and is not even active."""
    app = rig.app(excluded_urls=["/health"])
    app.add_url_rule("/health", view_func=lambda: str(current_request_id()))
    assert app.test_client().get("/health").text == "None"
    assert (rig.spans, rig.points(DURATION), rig.points(ACTIVE)) == ((), [], [])


def test_suppressed(rig: Rig) -> None:
    """Inside suppress_instrumentation() nothing is recorded."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    with suppress_instrumentation():
        assert app.test_client().get("/").text == "ok"
    assert rig.spans == ()


def test_captured_headers(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers that the standard variables name are attributes; sanitised ones without their values."""
    prefix = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
    monkeypatch.setenv(prefix + "SERVER_REQUEST", "x-tenant, x-secret-.*")
    monkeypatch.setenv(prefix + "SERVER_RESPONSE", "x-answer")
    monkeypatch.setenv(prefix + "SANITIZE_FIELDS", ".*secret.*")
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: ("ok", {"X-Answer": "42"}))
    app.test_client().get("/", headers={"X-Tenant": "t1", "X-Secret-Key": "s3cr3t", "X-Other": "o"}).get_data()
    attributes = rig.server().attributes or {}
    assert attributes["http.request.header.x_tenant"] == ("t1",)
    assert attributes["http.request.header.x_secret_key"] == ("[REDACTED]",)
    assert attributes["http.response.header.x_answer"] == ("42",)
    assert not [name for name in attributes if "other" in name]


@pytest.mark.parametrize("maker", ["chest", "upstream", "before", "around"])
def test_a_request_hook_as_setting(rig: Rig, maker: str) -> None:
    """The hook sees the server span once in each request, whoever makes it, and what it puts on g is recorded."""
    app = rig.plain()
    if maker == "before":
        FlaskInstrumentor().instrument_app(app, tracer_provider=rig.tracer_provider)  # type: ignore[no-untyped-call]
    seen: list[tuple[str, str]] = []

    def hook(span: Any, environ: dict[str, Any]) -> None:
        seen.append((span.kind.name, environ["PATH_INFO"]))
        span.set_attribute("shop.detail", request.path)
        g.detail = request.args["detail"]

    rig.chest(
        app,
        request_hook=hook,
        server_span=maker if maker in ("chest", "upstream") else "auto",
        tracked_vars=[TrackedVar("detail", dimension=True), "total"],
    )

    @app.get("/<int:number>")
    def view(number: int) -> str:
        g.total = number
        return "ok"

    if maker == "around":
        app.wsgi_app = OpenTelemetryMiddleware(  # type: ignore[method-assign]  # Flask's documented way
            app.wsgi_app, tracer_provider=rig.tracer_provider
        )
    for number in (1, 2):
        assert app.test_client().get(f"/{number}?detail=d{number}").get_data() == b"ok"
    assert seen == [("SERVER", "/1"), ("SERVER", "/2")]
    assert [(span.attributes or {})["shop.detail"] for span in rig.servers()] == ["/1", "/2"]
    assert [rig.tracked(span)["detail"] for span in rig.servers()] == ["d1", "d2"]
    assert sorted(point.attributes["flask.g.detail"] for point in rig.points("flask.g.total")) == ["d1", "d2"]


@pytest.mark.guard_on
@pytest.mark.parametrize("maker", ["chest", "before"])
def test_a_request_hook_that_raises(rig: Rig, maker: str, caplog: pytest.LogCaptureFixture) -> None:
    """It breaks no request, and is logged once."""
    app = rig.plain()
    if maker == "before":
        FlaskInstrumentor().instrument_app(app, tracer_provider=rig.tracer_provider)  # type: ignore[no-untyped-call]

    def hook(_span: Any, _environ: dict[str, Any]) -> None:
        raise RuntimeError("hook")

    rig.chest(app, request_hook=hook, server_span="auto")
    app.add_url_rule("/", view_func=set_a)
    assert [app.test_client().get("/").status_code for _ in range(2)] == [200, 200]
    assert len(rig.servers()) == 2
    assert [record.name for record in caplog.records if "request_hook" in record.getMessage()] == ["flask_chest_otel"]


@pytest.mark.guard_on
def test_hooks_cannot_break_the_request(rig: Rig) -> None:
    """Hooks see span, environ, status and headers; one that raises is logged, and the answer stays."""
    seen: list[Any] = []

    def request_hook(span: trace.Span, environ: dict[str, Any]) -> None:
        seen.append((span.is_recording(), environ["PATH_INFO"]))
        raise RuntimeError("request hook")

    def response_hook(span: trace.Span, status: str, headers: list[tuple[str, str]]) -> None:
        seen.append((span.is_recording(), status, dict(headers)["Content-Type"].split(";")[0]))
        raise RuntimeError("response hook")

    app = rig.plain()
    app.add_url_rule("/", view_func=lambda: "ok")
    FlaskChestInstrumentor().instrument_app(app, request_hook, response_hook, enable_commenter=True, **rig.providers)
    response = app.test_client().get("/")
    assert (response.status_code, response.text) == (200, "ok")
    assert seen == [(True, "/"), (True, "200 OK", "text/html")]
    assert len(rig.servers()) == 1


def test_instrument_app_and_back(rig: Rig) -> None:
    """instrument_app records one application; uninstrument_app leaves it as it was; both bear being said twice."""
    app, other = rig.plain("one"), rig.plain("two")
    for each in (app, other):
        each.add_url_rule("/", "view", set_a)
    before = dict(vars(app))
    for _ in range(2):
        FlaskChestInstrumentor().instrument_app(app, tracked_vars=["a"], **rig.providers)
    for each in (app, other):
        each.test_client().get("/").get_data()
    assert rig.tracked() == {"a": 1}
    for _ in range(2):
        FlaskChestInstrumentor().uninstrument_app(app)
    changed = {name for name, value in vars(app).items() if before.get(name) is not value}
    assert changed <= {"_got_first_request"}
    app.test_client().get("/").get_data()
    assert len(rig.servers()) == 1


def test_instrument_app_beside_instrument(rig: Rig) -> None:
    """An application with settings of its own is recorded once where all are instrumented."""
    app = rig.plain()
    app.add_url_rule("/", "view", set_a)
    FlaskChestInstrumentor().instrument(**rig.providers)
    FlaskChestInstrumentor().instrument_app(app, tracked_vars=["a"], **rig.providers)
    app.test_client().get("/").get_data()
    assert rig.tracked() == {"a": 1}
    assert [point.count for point in rig.points("flask.g.a")] == [1]


@pytest.mark.parametrize("server_span", ["auto", "chest"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_never_two_server_spans(rig: Rig, server_span: str, *, first: bool) -> None:
    """Where upstream instruments the application, at whatever time before its first request, its span is the one."""
    app = rig.plain()
    if first:
        FlaskInstrumentor().instrument_app(app, **rig.providers)  # type: ignore[no-untyped-call]
    rig.chest(app, server_span=server_span, tracked_vars=["a"])
    if not first:
        FlaskInstrumentor().instrument_app(app, **rig.providers)  # type: ignore[no-untyped-call]
    app.add_url_rule("/", "view", set_a)
    app.test_client().get("/").get_data()
    assert rig.tracked() == {"a": 1}
    assert len(rig.spans) == 1


def test_response_propagator(rig: Rig) -> None:
    """A global response propagator puts its header on the response, once."""
    set_global_response_propagator(TraceResponsePropagator())  # type: ignore[no-untyped-call]
    try:
        app = rig.app(response_headers=["traceresponse"])
        app.add_url_rule("/", view_func=lambda: "ok")
        response = app.test_client().get("/")
    finally:
        set_global_response_propagator(None)  # type: ignore[no-untyped-call]
    (value,) = response.headers.getlist("traceresponse")
    assert f"{rig.server().context.span_id:016x}" in value


def test_file_of_the_server(rig: Rig) -> None:
    """A file that the server sends by itself is handed over as it is, so that it still can."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: send_file(io.BytesIO(b"text"), "text/plain"))
    with_wrapper = {**environ(), "wsgi.file_wrapper": FileWrapper}
    body: Any = app(with_wrapper, quiet)
    assert isinstance(body, FileWrapper)
    assert b"".join(body) == b"text"
    body.close()
    assert len(rig.servers()) == 1


def test_sampled_out(rig: Rig) -> None:
    """Where the sampler keeps nothing, metrics and records go on, and the response has its id."""
    rig.tracer_provider = rig.provider(sampler=ALWAYS_OFF)
    app = rig.app(tracked_vars=["total"])
    streaming(app)
    with capture(app) as records:
        response = app.test_client().get("/stream")
        response.get_data()
    assert rig.spans == ()
    assert dict(records[0].variables) == {"total": 3}
    assert response.headers["X-Request-ID"] == records[0].request_id
    assert [point.count for point in rig.points(DURATION)] == [1]


def test_exemplars_point_to_the_span(rig: Rig) -> None:
    """The duration's exemplar carries the ids of the request's span."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    app.test_client().get("/").get_data()
    (exemplar,) = rig.points(DURATION)[0].exemplars
    assert exemplar.span_id == rig.server().context.span_id


def test_nothing_is_left_current(rig: Rig) -> None:
    """After requests of every kind the thread's context is as it was."""
    app = rig.app()
    streaming(app)

    @app.get("/boom")
    def boom() -> str:
        raise LookupError

    for path in ("/stream", "/boom", "/none"):
        run_wsgi_app(app, environ(path), buffered=True)
        assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("zero_code", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_the_span_of_a_middleware_is_taken(rig: Rig, *, zero_code: bool, before: bool) -> None:
    """One request is one server span, wherever the middleware stands that makes it."""
    app = rig.plain()
    app.add_url_rule("/", view_func=set_a)

    def wrap() -> None:
        app.wsgi_app = OpenTelemetryMiddleware(  # type: ignore[method-assign]
            app.wsgi_app, tracer_provider=rig.tracer_provider, meter_provider=rig.meter_provider
        )

    if before:
        wrap()
    if zero_code:
        FlaskChestInstrumentor().instrument(tracked_vars=["a"], **rig.providers)
    else:
        rig.chest(app, tracked_vars=["a"])
    if not before:
        wrap()
    app.test_client().get("/").get_data()
    span = rig.server()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.wsgi"
    assert rig.tracked(span) == {"a": 1}


def test_active_requests_of_two_applications(rig: Rig) -> None:
    """Applications that share a meter provider are counted together."""
    inside: list[int] = []

    def view() -> str:
        inside.extend(point.value for point in rig.points(ACTIVE))
        return "ok"

    for name in ("first", "second"):
        app = rig.plain(name)
        rig.chest(app)
        app.add_url_rule("/", view_func=view)
        app.test_client().get("/").get_data()
    assert inside == [1, 1]
    assert [point.value for point in rig.points(ACTIVE)] == [0]


def test_destinations_of_the_duration(rig: Rig) -> None:
    """A restricted route's duration says where it may go, like its other metrics."""
    app = rig.app()
    app.add_url_rule("/free", "free", lambda: "ok")
    app.add_url_rule("/bound", "bound", flask_chest(chests=["splunk"])(lambda: "ok"))
    for path in ("/free", "/bound"):
        app.test_client().get(path).get_data()
    found = {point.attributes["http.route"]: point.attributes.get("flask.chests") for point in rig.points(DURATION)}
    assert found == {"/free": None, "/bound": "splunk"}


def test_what_clients_choose_does_not_multiply_series(rig: Rig) -> None:
    """A scheme or a protocol version that a proxy passes on unchecked."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    for number in range(10):
        environ = EnvironBuilder(environ_overrides={"wsgi.url_scheme": f"p{number}"}).get_environ()
        environ["SERVER_PROTOCOL"] = f"HTTP/{number}.7"
        run_wsgi_app(app, environ)
    (point,) = rig.points(DURATION)
    assert point.attributes["url.scheme"] == "_OTHER"
    assert "network.protocol.version" not in point.attributes
    assert len(rig.points(ACTIVE)) == 1


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("8080", 8080),
        ("65535", 65535),
        ("65536", None),
        ("9" * 20, None),
        ("9" * 5000, None),
        ("-1", None),
        ("\u00b2", None),
        ("", 80),
    ],
    ids=["usual", "last", "beyond", "over 64 bits", "over int()", "negative", "superscript", "none"],
)
def test_ports_of_clients(rig: Rig, port: str, expected: int | None) -> None:
    """What a client says as the port is a port, or is left out; the request has its span."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    made = environ()
    made["HTTP_HOST"] = f"shop:{port}"
    run_wsgi_app(app, made, buffered=True)
    attributes = rig.server().attributes or {}
    assert attributes["server.address"] == "shop"
    assert attributes.get("server.port") == expected


@pytest.mark.slow
def test_what_clients_choose_does_not_fill_the_memory(rig: Rig) -> None:
    """Hosts and methods of any length are cut on the span, and nothing of long ones stays."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")

    def ask(number: int) -> None:
        made = environ()
        made["HTTP_HOST"] = f"{number}{'h' * 20_000}"
        made["REQUEST_METHOD"] = f"{number}{'M' * 20_000}"
        run_wsgi_app(app, made, buffered=True)

    ask(0)
    attributes = rig.server().attributes or {}
    assert len(str(attributes["server.address"])) == len(str(attributes["http.request.method_original"])) == 255
    tracemalloc.start()
    try:
        for number in range(100):
            ask(number)
            rig.exporter.clear()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "variable", ["OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "OTEL_PYTHON_FLASK_EXCLUDED_URLS"]
)
def test_malformed_patterns(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variable: str
) -> None:
    """A pattern that is none is left out and said; the others, and the span, are there."""
    monkeypatch.setenv(variable, "*,x-.*|excluded")
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    app.add_url_rule("/excluded", "excluded", lambda: "ok")
    app.test_client().get("/", headers={"X-Here": "yes"}).get_data()
    assert ((rig.server().attributes or {}).get("http.request.header.x_here") == ("yes",)) == ("CAPTURE" in variable)
    app.test_client().get("/excluded").get_data()
    assert (len(rig.servers()) == 1) == ("EXCLUDED" in variable)
    assert [line for line in caplog.messages if variable in line and "'*'" in line]


class HTTPException(Exception):  # noqa: N818 - as Starlette calls it
    """An answer of a framework around Flask, as Connexion raises it in place of Werkzeug's."""

    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


@pytest.mark.parametrize("server_span", ["chest", "upstream", None])
@pytest.mark.parametrize("status", [404, 503])
def test_answers_that_are_given_further_out(rig: Rig, status: int, server_span: str | None) -> None:
    """An exception that is an answer to be given further out has its own status; below 500 it is no failure."""
    app = rig.app(server_span=server_span)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.register_error_handler(WerkzeugException, raise_theirs)
    app.add_url_rule("/", view_func=lambda: abort(status))
    with capture(app) as records, pytest.raises(HTTPException):
        app.test_client().get("/")
    assert [record.status for record in records] == [status]
    if server_span == "chest":
        attributes = rig.server().attributes or {}
        assert attributes["http.response.status_code"] == status
        assert ("error.type" in attributes) == (status == 503)
        assert (rig.server().status.status_code is StatusCode.ERROR) == (status == 503)
        (point,) = rig.points(DURATION)
        assert point.attributes["http.response.status_code"] == status


def raise_theirs(error: WerkzeugException) -> Any:
    raise HTTPException(error.code or 500) from None


def test_a_status_that_somebody_else_has_answered(rig: Rig) -> None:
    """A client library's error carries the status of another service: leaving the application, it is a 500 of ours."""

    class RemoteError(Exception):
        status_code = 404

    app = rig.app()
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.get("/")
    def view() -> str:
        raise RemoteError

    with pytest.raises(RemoteError):
        app.test_client().get("/")
    assert (rig.server().attributes or {})["http.response.status_code"] == 500


@pytest.mark.parametrize("named", [False, True], ids=["route missing", "route there"])
@pytest.mark.parametrize("zero_code", [False, True])
def test_inside_another_server_span(rig: Rig, *, named: bool, zero_code: bool) -> None:
    """Route, exception and duration are there: on the span around, or on one inside where that has a route already."""
    app = rig.plain()
    app.add_url_rule("/<name>", view_func=lambda name: set_a() if name == "ok" else str(1 / 0))
    if zero_code:
        FlaskChestInstrumentor().instrument(tracked_vars=["a"], **rig.providers)
    else:
        rig.chest(app, tracked_vars=["a"])
    tracer = rig.tracer_provider.get_tracer("outer")
    for path in ("/ok", "/boom"):
        with tracer.start_as_current_span("outer", kind=SpanKind.SERVER) as outer:
            if named:
                outer.set_attribute("http.route", "/mount/{path}")
            app.test_client().get(path)
    route = "/mount/{path}" if named else "/<name>"
    assert [(span.attributes or {})["http.route"] for span in rig.servers()] == [route, route]
    assert rig.tracked(rig.servers()[0]) == {"a": 1}
    inner = [span for span in rig.spans if span.kind is SpanKind.INTERNAL]
    names = [(span.name, (span.attributes or {})["http.route"]) for span in inner]
    assert names == [("GET /<name>", "/<name>")] * 2 * named
    described = inner if named else rig.servers()
    assert [[event.name for event in span.events] for span in described] == [[], ["exception"]]
    found = {point.attributes["http.response.status_code"]: point for point in rig.points(DURATION)}
    assert {point.attributes["http.route"] for point in found.values()} == {"/<name>"}
    assert {status: point.attributes.get("error.type") for status, point in found.items()} == {
        200: None,
        500: "ZeroDivisionError",
    }
    assert rig.points(ACTIVE) == []
