"""Child spans of a request: timings, and the spans themselves, bounded and masked, in its record."""

from __future__ import annotations

import asyncio
import copy
import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, copy_current_request_context, g, stream_with_context
from opentelemetry import context, trace
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from werkzeug.local import LocalProxy
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from flask_chest_otel import FlaskChest
from flask_chest_otel._request import child_spans
from flask_chest_otel.testing import RequestRecord, capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

    from tests.conftest import Put, Rig

TRACEPARENT_OUT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def names(record: RequestRecord) -> list[str]:
    return [span.name for span in record.spans]


def query(tracer: trace.Tracer, name: str = "SELECT", **attributes: Any) -> str:
    """Make the span of a query, and answer as a view."""
    given = {"db.system.name": "sqlite", **attributes}
    tracer.start_span(name, kind=SpanKind.CLIENT, attributes=given).end()
    return "ok"


class Counter:
    """A chest that wants records, and keeps no spans."""

    def __init__(self, name: str = "counter", *, keeps_timings: bool = True) -> None:
        self.name = name
        self.keeps_timings = keeps_timings
        self.records: list[RequestRecord] = []

    def put(self, record: RequestRecord) -> None:
        self.records.append(record)

    def flush(self, timeout_s: float) -> bool:
        return timeout_s >= 0

    close = flush


def get(app: Flask, path: str = "/", **options: Any) -> RequestRecord:
    """The record of one request."""
    with capture(app) as records:
        app.test_client().get(path, **options).get_data()
    return records[0]


def test_kinds_and_tree(rig: Rig, put: Put) -> None:
    """Queries, calls and everything else are counted and timed; the spans form the tree of the trace."""
    app = rig.plain()
    tracer = rig.tracer_provider.get_tracer("mine")

    @app.route("/")
    def view() -> str:
        with tracer.start_as_current_span("work") as work:
            work.set_attribute("items", 3)
            query(tracer)
            query(tracer)
            tracer.start_span("GET", kind=SpanKind.CLIENT, attributes={"http.request.method": "GET"}).end()
            work.add_event("half", {"done": True})
            work.set_status(StatusCode.ERROR, "no")
        tracer.start_span("old", kind=SpanKind.CLIENT, attributes={"http.method": "GET"}).end()
        tracer.start_span("incoming", kind=SpanKind.SERVER, attributes={"http.method": "GET"}).end()
        return "ok"

    records = put(app)
    app.test_client().get("/")
    (record,) = records
    assert {kind: count for kind, (count, _) in record.timings.items()} == {"db": 2, "http": 2, "other": 2}
    assert names(record) == ["work", "SELECT", "SELECT", "GET", "old", "incoming"]
    work = record.spans[0]
    assert (work.kind, work.status, work.attributes, work.parent_id) == (
        "internal",
        "error",
        {"items": 3},
        record.span_id,
    )
    assert [(event.name, event.attributes) for event in work.events] == [("half", {"done": True})]
    assert [span.parent_id for span in record.spans[1:4]] == [work.span_id] * 3
    exported = {f"{span.context.span_id:016x}": span for span in rig.spans if span.context is not None}
    for span in record.spans:
        same = exported[span.span_id]
        assert (span.start_unix_ns, span.duration_s) == (same.start_time, (same.end_time - same.start_time) / 1e9)  # type: ignore[operator]
    assert (record.spans_dropped, record.spans_complete) == (0, True)


def test_without_child_spans(rig: Rig, put: Put) -> None:
    """A request without any says so: nothing, and complete."""
    app = rig.plain()
    app.add_url_rule("/", "view", lambda: "ok")
    records = put(app)
    app.test_client().get("/")
    (record,) = records
    assert (dict(record.timings), record.spans, record.spans_dropped, record.spans_complete) == ({}, (), 0, True)


def test_only_counted_where_nobody_keeps_them(rig: Rig) -> None:
    """A chest without ``keeps_spans`` gets timings and the number of spans, but no spans."""
    chest = Counter()
    app = rig.app(chests=[chest])
    tracer = rig.tracer_provider.get_tracer("mine")
    app.add_url_rule("/", "view", lambda: query(tracer))
    app.test_client().get("/")
    (record,) = chest.records
    assert (record.timings["db"][0], record.spans, record.spans_dropped) == (1, (), 1)


@pytest.mark.parametrize("others", [[], [Counter()]], ids=["alone", "beside another"])
def test_nobody_keeps_timings(rig: Rig, others: list[Counter]) -> None:
    """Where no chest uses processor time and child spans, neither is measured."""
    chest = Counter("frugal", keeps_timings=False)
    app = rig.app(chests=[chest, *others])
    tracer = rig.tracer_provider.get_tracer("mine")
    app.add_url_rule("/", "view", lambda: query(tracer))
    app.test_client().get("/")
    (record,) = chest.records
    assert (record.cpu_s is not None, "db" in record.timings) == (bool(others), bool(others))


def test_nobody_wants_records(rig: Rig) -> None:
    """Where there is no chest, spans are exported as ever, and nothing follows them."""
    app = rig.app(export=None)
    tracer = rig.tracer_provider.get_tracer("mine")
    before = len(child_spans.open_spans)
    found = []

    def view() -> str:
        with tracer.start_as_current_span("work"):
            found.append(len(child_spans.open_spans))
        return "ok"

    app.add_url_rule("/", "view", view)
    app.test_client().get("/")
    assert found == [before]
    assert [span.name for span in rig.spans] == ["work", "GET /"]


def test_the_slowest_are_kept(rig: Rig) -> None:
    """Of 250 spans the slowest hundred are kept, in the order of their begin; the others are counted and timed."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")
    lengths = [(7 * number) % 250 + 1 for number in range(250)]

    @app.route("/")
    def view() -> str:
        for number, length in enumerate(lengths):
            begin = time.time_ns()
            tracer.start_span(f"n{number}", start_time=begin).end(begin + length * 1_000_000)
        return "ok"

    record = get(app)
    kept = [round(span.duration_s * 1000) for span in record.spans]
    assert kept == [length for length in lengths if length > 150]
    assert record.spans_dropped == 150
    assert record.timings["other"] == pytest.approx((250, sum(lengths) / 1000))


def test_a_call_seen_by_two_libraries(rig: Rig) -> None:
    """A span inside another of its kind is kept, and counted and timed once: ``requests`` over ``urllib3``."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")
    of_call = {"http.request.method": "GET"}

    @app.route("/")
    def view() -> str:
        begin = time.time_ns()
        outer = tracer.start_span("outer", kind=SpanKind.CLIENT, attributes=of_call, start_time=begin)
        inside = trace.set_span_in_context(outer)
        inner = tracer.start_span("inner", inside, kind=SpanKind.CLIENT, attributes=of_call, start_time=begin)
        inner.end(begin + 8_000_000)
        outer.end(begin + 10_000_000)
        return "ok"

    record = get(app)
    assert list(record.timings) == ["http"]
    assert record.timings["http"] == pytest.approx((1, 0.010))
    assert names(record) == ["outer", "inner"]


def test_many_calls_seen_by_two_libraries(rig: Rig) -> None:
    """Also where they are summed up while the request runs, in the middle of a call, each call counts once."""
    chest = Counter()
    app = rig.app(chests=[chest])
    tracer = rig.tracer_provider.get_tracer("mine")

    @app.route("/")
    def view() -> str:
        for _ in range(99):  # odd, so that a hundredth span ends inside another one
            query(tracer)
        for _ in range(150):
            with tracer.start_as_current_span("outer", attributes={"db.system": "sqlite"}):
                query(tracer)
        return "ok"

    record = get(app)
    app.test_client().get("/")
    for one in (record, *chest.records):
        assert one.timings["db"][0] == 99 + 150
        assert len(one.spans) + one.spans_dropped == 99 + 2 * 150


def test_timings_behave_like_a_dictionary(rig: Rig) -> None:
    """They are computed when they are first read, by several threads at once, and are copied as a dictionary."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")
    app.add_url_rule("/", "view", lambda: query(tracer))
    record = get(app)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: dict(record.timings), range(8)))
    assert found == [record.timings] * 8
    assert (len(record.timings), repr(record.timings)) == (1, repr(found[0]))
    again = copy.deepcopy(record)
    assert (type(again.timings), again.timings) == (dict, record.timings)


class Watch(SpanProcessor):
    """Knows whether spans that have ended are still in memory."""

    def __init__(self) -> None:
        self.ended: list[weakref.ref[ReadableSpan]] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(weakref.ref(span))

    def alive(self) -> list[str]:
        gc.collect()
        return [span.name for reference in self.ended if (span := reference()) is not None]


def test_a_record_that_was_read_holds_no_spans_of_the_sdk(rig: Rig) -> None:
    """Who keeps records for long keeps timings and the spans in their final form, and no others."""
    app, watch = rig.app(), Watch()
    rig.tracer_provider.add_span_processor(watch)
    app.add_url_rule("/", "view", lambda: query(rig.tracer_provider.get_tracer("mine")))
    record = get(app)
    rig.exporter.clear()
    assert watch.alive() == ["SELECT"]
    for _ in range(2):
        assert (record.timings["db"][0], names(record)) == (1, ["SELECT"])
        assert watch.alive() == []


def test_unfinished_spans_are_counted(rig: Rig) -> None:
    """A span that ends after its request is not taken; it is counted, and it is exported as ever."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")
    left: list[trace.Span] = []

    @app.route("/")
    def view() -> str:
        left.append(tracer.start_span("left"))
        query(tracer)
        return "ok"

    record = get(app)
    assert (names(record), record.spans_dropped, list(record.timings)) == (["SELECT"], 1, ["db"])
    left[0].end()
    assert "left" in [span.name for span in rig.spans]
    assert not child_spans.open_spans


def test_threads(rig: Rig, put: Put) -> None:
    """Spans of threads with a copied request context, or OpenTelemetry's context alone, belong to the request."""
    app = rig.plain()
    tracer = rig.tracer_provider.get_tracer("mine")

    @app.route("/")
    def view() -> str:
        here = context.get_current()

        def attached() -> None:
            token = context.attach(here)
            with tracer.start_as_current_span("attached"):
                query(tracer, "below")
            context.detach(token)

        @copy_current_request_context
        def copied() -> None:
            tracer.start_span("copied").end()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(attached).result()
            pool.submit(copied).result()
            pool.submit(lambda: tracer.start_span("foreign").end()).result()
        return "ok"

    records = put(app)
    app.test_client().get("/")
    assert names(records[0]) == ["attached", "below", "copied"]


@pytest.mark.slow
def test_many_threads_at_once(rig: Rig) -> None:
    """No span is lost or counted twice when threads of one request end theirs together."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")

    @app.route("/")
    def view() -> str:
        def work() -> None:
            for _ in range(500):
                query(tracer)

        threads = [threading.Thread(target=copy_current_request_context(work)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return "ok"

    record = get(app)
    assert record.timings["db"][0] == 4000
    assert (len(record.spans), record.spans_dropped) == (100, 3900)


def test_late_threads(rig: Rig) -> None:
    """What a thread with a copied context starts after the request is nobody's."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")
    ended = threading.Event()
    threads = []

    @app.route("/")
    def view() -> str:
        @copy_current_request_context
        def late() -> None:
            ended.wait(10)
            tracer.start_span("late").end()

        threads.append(threading.Thread(target=late))
        threads[0].start()
        return "ok"

    record = get(app)
    ended.set()
    threads[0].join()
    assert (record.spans, record.spans_dropped) == ((), 0)
    assert not child_spans.open_spans


def test_async_view(rig: Rig, put: Put) -> None:
    """Tasks of an async view are part of its request."""
    app = rig.plain()
    tracer = rig.tracer_provider.get_tracer("mine")

    @app.route("/")
    async def view() -> str:
        async def one(name: str) -> None:
            with tracer.start_as_current_span(name):
                await asyncio.sleep(0.001)

        await asyncio.gather(one("a"), one("b"))
        return "ok"

    records = put(app)
    app.test_client().get("/")
    assert sorted(names(records[0])) == ["a", "b"]


def test_streamed_body(rig: Rig) -> None:
    """Spans are taken until the body ends, with and without the request's context in the generator."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")

    def body() -> Iterator[str]:
        for number in range(3):
            query(tracer, f"n{number}")
            yield "x"

    app.add_url_rule("/with", "with", lambda: Response(stream_with_context(body())))
    app.add_url_rule("/without", "without", lambda: Response(body()))
    for path in ("/with", "/without"):
        assert names(get(app, path)) == ["n0", "n1", "n2"]


def test_application_in_an_application(rig: Rig) -> None:
    """Each request has its own spans; the server span of the inner one is a child span of the outer one."""
    inner, outer = rig.plain("inner"), rig.plain("outer")
    rig.chest(inner)
    rig.chest(outer)
    tracer = rig.tracer_provider.get_tracer("mine")
    inner.add_url_rule("/", "view", lambda: query(tracer, "inner query"))

    @outer.route("/")
    def view() -> str:
        query(tracer, "before")
        inner.test_client().get("/")
        query(tracer, "after")
        return "ok"

    with capture(inner) as of_inner, capture(outer) as of_outer:
        outer.test_client().get("/")
    assert names(of_inner[0]) == ["inner query"]
    assert names(of_outer[0]) == ["before", "GET /", "after"]
    assert of_outer[0].spans[1].span_id == of_inner[0].span_id
    assert of_outer[0].spans_dropped == 0
    assert not child_spans.open_spans


def test_mounted_application(rig: Rig) -> None:
    """Behind a dispatcher, and a WSGI instrumentation around it all, a request has its own spans and no server span."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")
    app.add_url_rule("/x", "view", lambda: query(tracer))
    served = DispatcherMiddleware(Flask("none"), {"/shop": app})
    client = Client(OpenTelemetryMiddleware(served, tracer_provider=rig.tracer_provider))
    with capture(app) as records:
        client.get("/shop/x")
    assert names(records[0]) == ["SELECT"]
    assert (records[0].spans_dropped, records[0].spans_complete) == (0, True)


def test_outside_of_requests(rig: Rig) -> None:
    """A span outside of any request is followed by nobody."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")
    app.add_url_rule("/", "view", lambda: "ok")
    get(app)
    with tracer.start_as_current_span("job"):
        assert not child_spans.open_spans


def test_odd_spans_lose_nothing(rig: Rig) -> None:
    """The SDK takes any name, kind and time; a name that only works in its request is left out, the record is not."""
    app = rig.app()
    tracer: Any = rig.tracer_provider.get_tracer("mine")

    @app.route("/")
    def view() -> str:
        g.who = "ann"
        tracer.start_span(LocalProxy(lambda: g.who), attributes={"n": 1}).end()
        tracer.start_span("kind", kind=3).end()
        tracer.start_span("no kind", kind=None).end()
        tracer.start_span("begin", start_time="now").end()
        tracer.start_span("end").end(end_time="now")
        return "ok"

    record = get(app)
    assert sorted(names(record)) == ["(without a name)", "begin", "end", "kind", "no kind"]
    assert {span.kind for span in record.spans} == {"internal"}
    assert record.timings["other"][0] == 5
    assert min(span.duration_s for span in record.spans) == 0


def test_private_provider_in_a_copied_context(rig: Rig) -> None:
    """A thread with a copy of Flask's context alone makes spans of the request, also where nobody set a provider."""
    tracer = trace.get_tracer("library")
    app = rig.plain()
    FlaskChest(app)

    @app.route("/")
    def view() -> str:
        thread = threading.Thread(target=copy_current_request_context(lambda: tracer.start_span("copied").end()))
        thread.start()
        thread.join()
        return "ok"

    assert names(get(app)) == ["copied"]


@pytest.mark.parametrize("make", [trace.get_tracer, lambda name: trace.get_tracer_provider().get_tracer(name)])
def test_private_provider(rig: Rig, make: Callable[[str], trace.Tracer]) -> None:
    """Where nobody has set a provider, tracers make spans inside of requests, and nothing outside of them."""
    tracer = make("library")  # before there is any chest
    app = rig.plain()
    FlaskChest(app)

    @tracer.start_as_current_span("decorated")
    def decorated() -> None:
        tracer.start_span("inside").end()

    @tracer.start_as_current_span("awaited")
    async def awaited() -> None:
        tracer.start_span("within").end()

    @app.route("/")
    def view() -> str:
        with tracer.start_as_current_span("by hand") as span:
            assert span.is_recording()
        decorated()
        asyncio.run(awaited())
        return "ok"

    for headers in ({}, {"traceparent": TRACEPARENT_OUT}):
        record = get(app, headers=headers)
        assert names(record) == ["by hand", "decorated", "inside", "awaited", "within"]
        assert record.spans[2].parent_id == record.spans[1].span_id
        assert record.spans_complete
    decorated()
    with tracer.start_as_current_span("job") as span:
        assert not span.is_recording()
        assert not span.get_span_context().is_valid


@pytest.mark.parametrize("server_span", ["chest", "upstream"])
def test_sampled_out(rig: Rig, server_span: str) -> None:
    """With the application's own provider there is nothing to be seen: the record says so, and nothing is exported."""
    app = rig.plain()
    provider = rig.provider(sampler=ALWAYS_OFF)
    rig.chest(app, tracer_provider=provider, server_span=server_span)
    app.add_url_rule("/", "view", lambda: query(provider.get_tracer("mine")))
    record = get(app)
    assert (record.spans, dict(record.timings), record.spans_complete) == ((), {}, False)
    assert not rig.spans


def test_always_record_sampler(rig: Rig) -> None:
    """An application that records what it does not sample has child spans of all requests."""
    sampling = pytest.importorskip("opentelemetry.sdk.trace.sampling")
    if not hasattr(sampling, "AlwaysRecordSampler"):
        pytest.skip("SDK 1.45")
    provider = rig.provider(sampler=sampling.AlwaysRecordSampler(ALWAYS_OFF))
    app = rig.app(tracer_provider=provider)
    app.add_url_rule("/", "view", lambda: query(provider.get_tracer("mine")))
    record = get(app)
    assert (names(record), record.spans_complete) == (["SELECT"], True)
    assert not rig.spans


def test_no_sdk(rig: Rig) -> None:
    """Without a provider that records, spans cannot be seen."""
    app = rig.plain()
    FlaskChest(app, tracer_provider=trace.NoOpTracerProvider())
    app.add_url_rule("/", "view", lambda: "ok")
    assert not get(app).spans_complete


def test_nothing_is_kept_alive(rig: Rig) -> None:
    """Neither spans nor requests, whether spans end or not, once records are gone."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("mine")
    seen: list[Any] = []

    class Mark:
        pass

    @app.route("/")
    def view() -> str:
        from flask import g  # noqa: PLC0415 - as views do

        g.mark = Mark()
        seen.append(weakref.ref(g.mark))
        tracer.start_span("left")
        query(tracer)
        return "ok"

    for _ in range(3):
        get(app)
    rig.exporter.clear()
    gc.collect()
    assert [mark() for mark in seen] == [None] * 3
    assert not child_spans.open_spans
