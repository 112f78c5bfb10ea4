"""``flask.chests``: on every span of a request whose route names destinations, and on its metrics."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from flask import Response, copy_current_request_context, g, request, stream_with_context
from opentelemetry import context, trace
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import SpanProcessor
from werkzeug.test import Client

from flask_chest_otel import flask_chest
from flask_chest_otel._request.span_processor import RequestSpanProcessor, ensure_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from flask import Flask

    from tests.conftest import Put, Rig


def destinations(rig: Rig) -> dict[str, Any]:
    return {span.name: (span.attributes or {}).get("flask.chests") for span in rig.spans}


def shop(rig: Rig) -> Flask:
    app = rig.plain()
    tracer = rig.tracer_provider.get_tracer("mine")

    @app.route("/some")
    @flask_chest("n", chests=["splunk", "audit", "splunk"])
    def some() -> str:
        g.n = 1
        with tracer.start_as_current_span("child"), tracer.start_as_current_span("grandchild"):
            pass
        here = context.get_current()

        def work() -> None:
            token = context.attach(here)
            tracer.start_span("thread").end()
            context.detach(token)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return "ok"

    @app.route("/all")
    @flask_chest("n")
    def everywhere() -> str:
        g.n = 1
        tracer.start_span("elsewhere").end()
        return "ok"

    return app


def test_on_every_span_and_metric(rig: Rig, put: Put) -> None:
    """Server span, children, threads with an attached context and metrics: one text, sorted, without repeats."""
    app = shop(rig)
    records = put(app)
    app.test_client().get("/some")
    assert destinations(rig) == dict.fromkeys(["GET /some", "child", "grandchild", "thread"], "audit,splunk")
    (point,) = rig.points("flask.g.n")
    assert point.attributes["flask.chests"] == "audit,splunk"
    assert records[0].chests == ("splunk", "audit", "splunk")


def test_threads_with_a_copied_request_context(rig: Rig, put: Put) -> None:
    """Flask's own way to work on in a thread, while the request runs and after its end."""
    app = rig.plain()
    tracer = rig.tracer_provider.get_tracer("mine")
    ended = threading.Event()
    threads = []

    @app.route("/some")
    @flask_chest("n", chests=["audit"])
    def some() -> str:
        @copy_current_request_context
        def early() -> None:
            tracer.start_span("early").end()

        @copy_current_request_context
        def late() -> None:
            ended.wait(10)
            tracer.start_span("late").end()

        for work in (early, late):
            threads.append(threading.Thread(target=work))
            threads[-1].start()
        threads[0].join()
        return "ok"

    put(app)
    app.test_client().get("/some").get_data()
    ended.set()
    threads[1].join()
    assert destinations(rig) == dict.fromkeys(["GET /some", "early", "late"], "audit")


def test_streams_and_teardown(rig: Rig, put: Put) -> None:
    """What a stream with the request's context does, and a teardown function, belongs to the request, too."""
    app = rig.plain()
    tracer = rig.tracer_provider.get_tracer("mine")

    @app.route("/some")
    @flask_chest("n", chests=["audit"])
    def some() -> Response:
        def body() -> Iterator[str]:
            tracer.start_span("stream", context=context.Context()).end()
            yield "ok"

        return Response(stream_with_context(body()))

    @app.teardown_request
    def teardown(_error: BaseException | None) -> None:
        tracer.start_span("teardown", context=context.Context()).end()

    put(app)
    assert app.test_client().get("/some").text == "ok"
    assert destinations(rig) == dict.fromkeys(["GET /some", "stream", "teardown"], "audit")


def test_absent_elsewhere(rig: Rig, put: Put) -> None:
    """Other routes, and spans outside of requests, carry none, also after such a request."""
    app = shop(rig)
    put(app)
    app.test_client().get("/some")
    rig.exporter.clear()
    app.test_client().get("/all")
    rig.tracer_provider.get_tracer("mine").start_span("background").end()
    assert destinations(rig) == dict.fromkeys(["GET /all", "elsewhere", "background"])
    assert ["flask.chests" in point.attributes for point in rig.points("flask.g.n")].count(True) == 1


def test_outer_wsgi_span(rig: Rig) -> None:
    """A server span that was there before the request began gets it too."""
    app = shop(rig)
    rig.chest(app, server_span=None)
    Client(OpenTelemetryMiddleware(app.wsgi_app, **rig.providers)).get("/some")
    assert set(destinations(rig).values()) == {"audit,splunk"}


def test_inner_request_with_its_own(rig: Rig) -> None:
    """A request inside a request has its own destinations on its spans."""
    outer, inner = rig.plain("outer"), rig.plain("inner")
    rig.chest(outer)
    rig.chest(inner)
    inner.add_url_rule("/inner", "inner", flask_chest(chests=["b"])(lambda: "inner"))

    @outer.route("/outer")
    @flask_chest(chests=["a"])
    def view() -> Any:
        return Response(inner.test_client().get("/inner").data)

    outer.test_client().get("/outer")
    assert destinations(rig) == {"GET /outer": "a", "GET /inner": "b"}


def test_processor_once(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider gets the processor once; one that takes none is left alone."""
    added: list[object] = []
    monkeypatch.setattr(rig.tracer_provider, "add_span_processor", added.append)
    ensure_on(rig.tracer_provider)
    ensure_on(rig.tracer_provider)
    ensure_on(trace.NoOpTracerProvider())
    assert [type(processor) for processor in added] == [RequestSpanProcessor]


def test_request_is_available(rig: Rig) -> None:
    """The route's destinations do not depend on what the view does with the request."""
    app = rig.app()
    app.add_url_rule("/", view_func=flask_chest(chests=[])(lambda: request.path))
    app.test_client().get("/")
    assert destinations(rig) == {"GET /": ""}


def test_it_does_not_keep_others_from_flushing(rig: Rig) -> None:
    """A provider stops flushing at the first processor that does not say that it has flushed."""
    flushed = []

    class Other(SpanProcessor):
        def force_flush(self, timeout_millis: int = 30000) -> bool:
            flushed.append(timeout_millis)
            return True

    ensure_on(rig.tracer_provider)
    rig.tracer_provider.add_span_processor(Other())
    assert rig.tracer_provider.force_flush()
    assert flushed


def test_once_for_many_first_requests(rig: Rig) -> None:
    """Threads that come first together give a provider one processor."""
    ready = threading.Barrier(8)

    class Provider:
        def __init__(self) -> None:
            self.processors: list[object] = []

        def add_span_processor(self, processor: object) -> None:
            self.processors.append(processor)

    for _ in range(50):
        provider = Provider()

        def first(provider: Provider = provider) -> None:
            ready.wait()
            ensure_on(provider)

        threads = [threading.Thread(target=first) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(provider.processors) == 1
