"""Flask-SocketIO: a record and a span for each event, which Flask dispatches no request for."""

from __future__ import annotations

import importlib
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from flask import Flask, copy_current_request_context, g
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from flask_chest_otel import SLO, TrackedVar, current_request_id, flask_chest
from flask_chest_otel.testing import capture
from tests.backends.require import require_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from flask_chest_otel.testing import RequestRecord
    from tests.backends.otlp_receiver import OtlpReceiver
    from tests.conftest import Rig

    Handler = TypeVar("Handler", bound=Callable[..., object])
    Put = Callable[..., list[RequestRecord]]

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def library() -> None:
    """The library itself, which the package never imports: loaded before any chest, in whatever order tests run."""
    require_module("flask_socketio", "flask-socketio")
    importlib.import_module("flask_socketio")


def socket_of(app: Flask, **options: Any) -> Any:
    """The library on an application; events are handled where they arrive, so that a test sees what they raise."""
    from flask_socketio import SocketIO  # noqa: PLC0415 - it may not be installed

    return SocketIO(app, async_mode="threading", async_handlers=False, **options)


def on(sockets: Any, event: str, namespace: str | None = None) -> Callable[[Handler], Handler]:
    """``@sockets.on(…)``, with types."""
    register: Callable[[Handler], Handler] = sockets.on(event, namespace=namespace)
    return register


@pytest.fixture
def client(rig: Rig) -> Iterator[Callable[..., Any]]:
    """Makes clients of the library's own, which go through its real server."""
    made = []

    def connect(sockets: Any, app: Flask, **options: Any) -> Any:
        made.append(sockets.test_client(app, **options))
        return made[-1]

    yield connect
    for one in made:
        for namespace in [namespace for namespace, is_open in one.connected.items() if is_open]:
            with suppress(Exception):
                one.disconnect(namespace)


def events(rig: Rig) -> list[ReadableSpan]:
    return [span for span in rig.spans if span.kind is SpanKind.CONSUMER]


def shop(sockets: Any) -> None:
    """Handlers that take a connection, answer an order, and see the client go."""

    @on(sockets, "connect")
    def come() -> None:
        g.pieces = 0

    @on(sockets, "order")
    def order(pieces: int) -> int:
        g.pieces, g.plan = pieces, "free"
        sockets.emit("ordered", pieces)
        return pieces * 2

    @on(sockets, "disconnect")
    def leave() -> None:
        g.pieces = 9


def test_a_record_and_a_span_for_each_event(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """Connection, event and end have one record and one span each, in traces of their own, with their variables."""
    app = rig.plain()
    sockets = socket_of(app)
    shop(sockets)
    records = put(app, tracked_vars=["pieces"])
    one = client(sockets, app)
    assert one.emit("order", 3, callback=True) == 6
    assert [event["args"] for event in one.get_received()] == [[3]]
    one.disconnect()
    expected = [("connect", {"pieces": 0}), ("order", {"pieces": 3}), ("disconnect", {"pieces": 9})]
    assert [(record.route, record.variables) for record in records] == expected
    assert {(record.method, record.status, record.error, record.path) for record in records} == {
        ("SOCKETIO", 200, None, "/socket.io")
    }
    spans = events(rig)
    assert [span.name for span in spans] == [f"socketio {name}" for name, _ in expected]
    assert [rig.tracked(span) for span in spans] == [variables for _, variables in expected]
    assert [f"{span.context.trace_id:032x}" for span in spans] == [record.trace_id for record in records]
    assert [record.request_id for record in records] == [record.trace_id for record in records]
    assert len({span.context.trace_id for span in spans}) == 3
    assert {span.parent for span in spans} == {None}
    assert rig.servers() == []


def test_what_its_span_says(rig: Rig, client: Callable[..., Any]) -> None:
    """The conventions for messaging, the handler's name, no word of HTTP; a link to the trace of the connection."""
    app = rig.app()
    sockets = socket_of(app)

    @on(sockets, "order", "/chat")
    def order() -> None:
        """Nothing to do."""

    one = client(sockets, app, namespace="/chat", headers={"traceparent": TRACEPARENT, "X-Request-ID": "of-all"})
    one.emit("order", namespace="/chat")
    one.emit("order", namespace="/chat")
    first, second = events(rig)
    said = dict(first.attributes or {})
    assert first.name == "socketio /chat order"
    assert said.pop("flask.request_id") == f"{first.context.trace_id:032x}" != f"{second.context.trace_id:032x}"
    assert str(said.pop("code.function.name")).endswith("test_what_its_span_says.<locals>.order")
    assert said == {
        "messaging.system": "socket.io",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "/chat",
        "messaging.socket.io.event_name": "order",
    }
    assert [f"{link.context.trace_id:032x}" for link in first.links] == [TRACEPARENT.split("-")[1]]


def test_metrics_are_told_apart_by_event(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """A variable's metric has namespace and event as attributes, and dimensions; requests' durations have no event."""
    app = rig.plain()
    sockets = socket_of(app)
    shop(sockets)
    put(app, tracked_vars=["pieces", TrackedVar("plan", dimension=True)])
    client(sockets, app).emit("order", 3)
    (point,) = [point for point in rig.points("flask.g.pieces") if point.sum == 3]
    assert dict(point.attributes) == {
        "messaging.destination.name": "/",
        "messaging.socket.io.event_name": "order",
        "flask.g.plan": "free",
    }
    assert rig.points("http.server.request.duration") == []


def test_routes_can_say_more(rig: Rig, client: Callable[..., Any]) -> None:
    """The decorator on a handler tracks for this event alone, and says where its data may go."""
    app = rig.app(tracked_vars=["a"])
    sockets = socket_of(app)

    @on(sockets, "order")
    @flask_chest("b", chests=["audit"], request_id_generator=lambda: "made-here")
    def order() -> None:
        g.a, g.b = 1, 2

    with capture(app) as records:
        client(sockets, app).emit("order")
    (record,) = records
    assert (record.variables, record.chests, record.request_id) == ({"a": 1, "b": 2}, ("audit",), "made-here")
    (span,) = events(rig)
    assert (span.attributes or {})["flask.chests"] == "audit"
    (point,) = rig.points("flask.g.b")
    assert point.attributes["flask.chests"] == "audit"


def test_what_leaves_a_handler(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """An exception that nobody answers leaves as before; it is the record's and the span's."""
    app = rig.plain()
    sockets = socket_of(app)

    @on(sockets, "order")
    def order() -> None:
        g.item = "tea"
        raise LookupError("sold out")

    records = put(app, tracked_vars=["item"])
    one = client(sockets, app)
    with pytest.raises(LookupError, match="sold out") as raised:
        one.emit("order")
    (record,) = records
    assert record.error is not None
    assert (record.status, record.variables, record.error.handled) == (500, {"item": "tea"}, False)
    assert (record.error.type, record.error.message) == ("LookupError", "sold out")
    assert "flask_chest_otel" not in record.error.stack
    assert "in order" in record.error.stack
    (span,) = events(rig)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "LookupError"
    assert [event.name for event in span.events] == ["exception"]
    assert raised.value.__context__ is None


def test_what_an_error_handler_answers(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """What ``on_error_default`` answers is a handled error; the acknowledgement is the error handler's answer."""
    app = rig.plain()
    sockets = socket_of(app)
    logger = logging.getLogger("shop.errors")

    @on(sockets, "order")
    def order() -> None:
        raise LookupError("sold out")

    def answer(error: Exception) -> str:
        logger.warning("answered %s", error)
        return "sorry"

    sockets.on_error_default(answer)

    records = put(app)
    assert client(sockets, app).emit("order", callback=True) == "sorry"
    (record,) = records
    assert record.error is not None
    assert (record.status, record.error.type, record.error.handled) == (500, "LookupError", True)
    assert [line.message for line in record.logs] == ["answered sold out"]
    (span,) = events(rig)
    assert span.status.status_code is StatusCode.UNSET
    assert [event.name for event in span.events] == ["exception"]


def test_exceptions_that_are_flow_control(rig: Rig, client: Callable[..., Any]) -> None:
    """What ``handled_exceptions`` leaves out is no error of an event, where an error handler answers it."""
    app = rig.app(handled_exceptions=[LookupError])
    sockets = socket_of(app)

    @on(sockets, "order")
    def order() -> None:
        raise KeyError("tea")

    one = client(sockets, app)
    with capture(app) as records:
        with pytest.raises(KeyError):
            one.emit("order")
        sockets.on_error_default(lambda _error: None)
        one.emit("order")
    assert [(record.status, record.error is None) for record in records] == [(500, False), (200, True)]


@pytest.mark.parametrize("how", ["raises", "says so"])
def test_a_refused_connection(rig: Rig, put: Put, client: Callable[..., Any], how: str) -> None:
    """To refuse a connection is an answer, 403, whether it is said by an exception or by ``False``."""
    app = rig.plain()
    sockets = socket_of(app)
    from flask_socketio import ConnectionRefusedError  # noqa: A004, PLC0415 - it may not be installed

    @on(sockets, "connect")
    def come() -> bool:
        if how == "raises":
            raise ConnectionRefusedError("no token")
        return False

    records = put(app)
    assert not client(sockets, app).is_connected()
    (record,) = records
    assert record.status == 403
    assert record.error is None if how == "says so" else record.error is not None and record.error.handled
    (span,) = events(rig)
    assert span.status.status_code is StatusCode.UNSET


def test_an_event_refuses_no_connection(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """What refuses a connection is, raised in another event, an exception like others: nobody answers it."""
    app = rig.plain()
    sockets = socket_of(app)
    from flask_socketio import ConnectionRefusedError  # noqa: A004, PLC0415 - it may not be installed

    @on(sockets, "order")
    def order() -> None:
        raise ConnectionRefusedError("sold out")

    records = put(app)
    with pytest.raises(ConnectionRefusedError):
        client(sockets, app).emit("order")
    (record,) = records
    assert record.error is not None
    assert (record.status, record.error.handled) == (500, False)
    (span,) = events(rig)
    assert span.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("takes", ["auth", "nothing", "anything"])
def test_handlers_that_take_less(rig: Rig, put: Put, client: Callable[..., Any], takes: str) -> None:
    """The library calls handlers of ``connect`` and ``disconnect`` again with less: one record each, no error."""
    app = rig.plain()
    sockets = socket_of(app)
    called: list[tuple[object, ...]] = []
    handlers: dict[str, Callable[..., None]] = {
        "auth": lambda auth: called.append((auth,)),
        "nothing": lambda: called.append(()),
        "anything": lambda *args: called.append(args),
    }
    for name in ("connect", "disconnect"):
        sockets.on_event(name, handlers[takes])
    records = put(app)
    client(sockets, app, auth={"token": 1}).disconnect()
    assert [(record.route, record.error) for record in records] == [("connect", None), ("disconnect", None)]
    assert len(called) == len(events(rig)) == 2


def test_a_type_error_of_the_handlers_own(rig: Rig, client: Callable[..., Any]) -> None:
    """A ``connect`` handler that raises one is called again by the library; it is one event all the same."""
    app = rig.app(tracked_vars=["calls"])
    sockets = socket_of(app)
    calls = []

    @on(sockets, "connect")
    def come(_auth: object = None) -> None:
        calls.append(1)
        g.calls = len(calls)
        if len(calls) == 1:
            raise TypeError("mine")

    with capture(app) as records:
        client(sockets, app)
    (record,) = records
    assert (record.status, record.error, record.variables) == (200, None, {"calls": 2})


def test_names_are_few(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """Names that clients make up become one: events by the default handler, namespaces without a handler of theirs."""
    app = rig.plain()
    sockets = socket_of(app, namespaces="*")

    @on(sockets, "*")
    def other(name: str, *_args: object) -> str:
        return name

    @on(sockets, "order", "*")
    def anywhere() -> None:
        """Nothing to do."""

    records = put(app)
    one = client(sockets, app)
    assert [one.emit(f"made-up-{number}", callback=True) for number in range(3)] == [f"made-up-{n}" for n in range(3)]
    for number in range(3):
        client(sockets, app, namespace=f"/made-up-{number}").emit("order", namespace=f"/made-up-{number}")
    assert {record.route for record in records} == {"*", "* order"}
    assert len(records) == 6


def test_callbacks_are_told_apart(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """What clients acknowledge has one name; each function that is called for it has its own variables and name."""
    from flask_socketio import emit  # noqa: PLC0415 - it may not be installed

    app = rig.plain()
    sockets = socket_of(app)

    def first(answer: int) -> None:
        g.pieces = answer

    @flask_chest("plan")
    def second(answer: int) -> None:
        g.pieces, g.plan = answer, "free"

    @on(sockets, "question")
    def question() -> None:
        for asked in (first, second):
            emit("asked", callback=asked)

    records = put(app, tracked_vars=["pieces"])
    one = client(sockets, app)
    one.emit("question")
    for number in (1, 2):
        sockets.server._handle_eio_message(one.eio_sid, f"3{number}[7]")  # noqa: SLF001 - as a real client answers
    assert [(record.route, record.variables) for record in records[1:]] == [
        ("(callback)", {"pieces": 7}),
        ("(callback)", {"pieces": 7, "plan": "free"}),
    ]
    called = [str((span.attributes or {})["code.function.name"]) for span in events(rig)[1:]]
    names = [name.rpartition(".")[2] for name in called]
    assert names == ["first", "second"]


def test_events_that_nobody_handles(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """An event without a handler runs no code, and leaves nothing."""
    app = rig.plain()
    sockets = socket_of(app)
    records = put(app)
    client(sockets, app).emit("made-up")
    assert (records, rig.spans) == ([], ())


def test_namespaces_as_classes(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """Methods of a namespace are handlers, with variables of their own; a ``disconnect`` without a reason, too."""
    from flask_socketio import Namespace  # noqa: PLC0415 - it may not be installed

    class Chat(Namespace):  # type: ignore[misc]  # the library has no types
        @flask_chest("text")
        def on_say(self, text: str) -> str:
            g.text = text
            return text.upper()

        def on_disconnect(self) -> None:
            """Nothing to do."""

    app = rig.plain()
    sockets = socket_of(app)
    sockets.on_namespace(Chat("/chat"))
    records = put(app)
    one = client(sockets, app, namespace="/chat")
    assert one.emit("say", "hello", namespace="/chat", callback=True) == "HELLO"
    one.disconnect("/chat")
    assert [(record.route, record.variables) for record in records] == [
        ("/chat say", {"text": "hello"}),
        ("/chat disconnect", {}),
    ]
    assert [record.error for record in records] == [None, None]


def test_child_spans_and_lines(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """Spans that a handler starts are below its event's, and in its record; its log lines are, too."""
    app = rig.plain()
    sockets = socket_of(app)
    tracer = rig.tracer_provider.get_tracer("app")

    @on(sockets, "order")
    def order() -> None:
        with tracer.start_as_current_span("stock"):
            logging.getLogger("shop.orders").warning("low")

    records = put(app)
    client(sockets, app).emit("order")
    (record,) = records
    assert [(span.name, span.parent_id) for span in record.spans] == [("stock", record.span_id)]
    assert [line.message for line in record.logs] == ["low"]
    stock, event = rig.spans
    assert (stock.parent.span_id if stock.parent else None) == event.context.span_id


def test_two_events_at_once(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """Events of one connection share its WSGI environment, and not their ids: in threads with their context, too."""
    app = rig.plain()
    sockets = socket_of(app)
    seen: dict[str, list[str | None]] = {}
    started, go_on = threading.Event(), threading.Event()

    def look(name: str) -> None:
        seen.setdefault(name, []).append(current_request_id())

    def both(name: str) -> None:
        look(name)
        thread = threading.Thread(target=copy_current_request_context(look), args=(name,))
        thread.start()
        thread.join()

    @on(sockets, "slow")
    def slow() -> None:
        started.set()
        go_on.wait(10)
        both("slow")

    sockets.on_event("quick", lambda: both("quick"))
    records = put(app)
    one = client(sockets, app)
    waiting = threading.Thread(target=one.emit, args=("slow",))
    waiting.start()
    assert started.wait(10)
    one.emit("quick")
    go_on.set()
    waiting.join()
    ids = {record.route: record.request_id for record in records}
    assert seen == {name: [ids[name]] * 2 for name in ("slow", "quick")}


def test_requests_of_the_same_application(rig: Rig, put: Put, client: Callable[..., Any]) -> None:
    """Requests between events are recorded as ever, and an event inside a view is no part of the request."""
    app = rig.plain()
    sockets = socket_of(app)
    shop(sockets)

    @app.get("/")
    def home() -> str:
        g.pieces = 1
        client(sockets, app).emit("order", 5)
        g.pieces = 2
        return "home"

    records = put(app, tracked_vars=["pieces"])
    assert app.test_client().get("/").text == "home"
    assert [(record.method, record.route, record.variables["pieces"]) for record in records] == [
        ("SOCKETIO", "connect", 0),
        ("SOCKETIO", "order", 5),
        ("GET", "/", 2),
    ]
    assert {span.kind for span in records[-1].spans} <= {"consumer"}
    assert rig.tracked() == {"pieces": 2}


def test_objectives(rig: Rig, client: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """Events belong to objectives, by their namespace and their method, and no line says that there is no such rule."""
    slos = [
        SLO("chat", objective=99, routes=["/chat *"], methods=["SOCKETIO"]),
        SLO("events", objective=99, methods=["SOCKETIO"]),
        SLO("requests", objective=99, methods=["GET"]),
    ]
    app = rig.app(slos=slos)
    sockets = socket_of(app)
    sockets.on_event("order", lambda: None, namespace="/chat")
    sockets.on_event("order", lambda: 1 / 0)
    with capture(app) as records:
        one = client(sockets, app)
        with pytest.raises(ZeroDivisionError):
            one.emit("order")
        client(sockets, app, namespace="/chat").emit("order", namespace="/chat")
    assert [record.slos for record in records] == [{"events": False}, {"chat": True, "events": True}]
    assert [line.message for line in caplog.records if line.name == "flask_chest_otel"] == []


@pytest.mark.guard_on
def test_nothing_of_ours_reaches_it(rig: Rig, client: Callable[..., Any]) -> None:
    """A provider that raises, and code of ours that fails, change no answer."""

    class Broken(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            raise RuntimeError("on start")

        def on_end(self, span: ReadableSpan) -> None:
            raise RuntimeError("on end")

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Broken())
    app = rig.app(tracer_provider=provider, tracked_vars=["pieces"])
    sockets = socket_of(app)
    shop(sockets)
    one = client(sockets, app)
    assert one.emit("order", 3, callback=True) == 6
    one.disconnect()


def test_left_alone(rig: Rig, client: Callable[..., Any]) -> None:
    """An excluded path and a chest that is switched off leave no record and no span."""
    for options in ({"excluded_urls": "socket.io"}, {"enabled": False}):
        app = rig.plain()
        rig.chest(app, tracked_vars=["pieces"], **options)
        sockets = socket_of(app)
        shop(sockets)
        with capture(app) as records:
            assert client(sockets, app).emit("order", 3, callback=True) == 6
        assert (records, rig.spans) == ([], ())


def test_without_a_server_span(rig: Rig, client: Callable[..., Any]) -> None:
    """Where no server spans are wanted, events have none either; records are there."""
    app = rig.app(server_span=None, tracked_vars=["pieces"])
    sockets = socket_of(app)
    shop(sockets)
    with capture(app) as records:
        client(sockets, app).emit("order", 3)
    assert [(record.route, record.span_id) for record in records] == [("connect", None), ("order", None)]
    assert rig.spans == ()


def test_on_and_off(run_python: Callable[..., str]) -> None:
    """The instrumentor takes off the library's class what it has put on, and puts it on again."""
    said = run_python(
        """
        from flask import Flask
        from flask_socketio import SocketIO
        from flask_chest_otel import FlaskChestInstrumentor
        from flask_chest_otel.testing import capture
        before = dict(vars(SocketIO))
        app = Flask("shop")
        sockets = SocketIO(app, async_mode="threading", async_handlers=False)
        sockets.on_event("order", lambda: None)
        for _ in range(2):
            FlaskChestInstrumentor().instrument()
            with capture(app) as records:
                app.test_client().get("/")
                sockets.test_client(app).emit("order")
            FlaskChestInstrumentor().uninstrument()
            sockets.test_client(app).emit("order")
            print([record.route for record in records], dict(vars(SocketIO)) == before)
        """
    )
    assert said.splitlines() == ["[None, 'order'] True"] * 2


def test_who_wraps_it_later_stays(run_python: Callable[..., str]) -> None:
    """What another library has put around the method stays when ours goes, and events are handled as before."""
    run_python("""
    import functools
    from flask import Flask
    from flask_socketio import SocketIO
    from flask_chest_otel import FlaskChestInstrumentor
    instrumentor = FlaskChestInstrumentor()
    instrumentor.instrument()
    app = Flask(__name__)
    sockets = SocketIO(app, async_mode="threading", async_handlers=False)
    sockets.on("order")(lambda pieces: pieces * 2)
    app.test_client().get("/")
    seen, ours = [], SocketIO._handle_event
    @functools.wraps(ours)
    def theirs(*args, **kwargs):
        seen.append(args[2])
        return ours(*args, **kwargs)
    SocketIO._handle_event = theirs
    instrumentor.uninstrument()
    assert SocketIO._handle_event is theirs
    assert sockets.test_client(app).emit("order", 3, callback=True) == 6
    assert seen == ["order"]
    """)


def test_a_library_that_is_loaded_late(run_python: Callable[..., str], tmp_path: Path) -> None:
    """A chest that was there before the library sees its events from the first request on; it never imports it."""
    said = run_python(
        """
        import sys
        from flask import Flask, g
        from flask_chest_otel import FlaskChest
        from flask_chest_otel.testing import capture
        app = Flask("shop")
        chest = FlaskChest(app, tracked_vars=["pieces"])
        print("flask_socketio" in sys.modules)
        from flask_socketio import SocketIO
        sockets = SocketIO(app, async_mode="threading", async_handlers=False)
        @sockets.on("order")
        def order(pieces):
            g.pieces = pieces
        with capture(app) as records:
            app.test_client().get("/")
            sockets.test_client(app).emit("order", 3)
        print([(record.route, record.variables) for record in records])
        """
    )
    assert said.splitlines() == ["False", "[(None, {}), ('order', {'pieces': 3})]"]


def test_what_is_stored(run_python: Callable[..., str], tmp_path: Path) -> None:
    """The store and its commands tell events apart like routes."""
    said = run_python(
        """
        import json, os
        from flask import Flask, g
        from flask_socketio import SocketIO
        from flask_chest_otel import FlaskChest
        app = Flask("shop", instance_path=os.path.abspath("instance"))
        chest = FlaskChest(app, tracked_vars=["pieces"])
        sockets = SocketIO(app, async_mode="threading", async_handlers=False)
        @sockets.on("order", namespace="/chat")
        def order(pieces):
            g.pieces = pieces
        client = sockets.test_client(app, namespace="/chat")
        client.emit("order", 3, namespace="/chat")
        client.emit("order", 4, namespace="/chat")
        chest.force_flush()
        from flask_chest_otel._cli import chest_cli
        for command in (["stats"], ["stats", "--method", "SOCKETIO", "--route", "/chat order"], ["requests"]):
            print(app.test_cli_runner().invoke(chest_cli, command).output, end="#")
        """
    )
    stats, chosen, requests = said.split("#")[:3]
    assert "SOCKETIO /chat order" in stats
    assert "SOCKETIO /chat order" in chosen
    assert requests.count("SOCKETIO /chat order") == 2


def test_what_is_sent(run_python: Callable[..., str], receiver: OtlpReceiver) -> None:
    """A log record of an event says its namespace and name, and nothing of HTTP."""
    run_python(
        """
        from flask import Flask, g
        from flask_socketio import SocketIO
        from flask_chest_otel import FlaskChest
        app = Flask("shop")
        chest = FlaskChest(app, tracked_vars=["pieces"], events="all")
        sockets = SocketIO(app, async_mode="threading", async_handlers=False)
        sockets.on_event("order", lambda pieces: setattr(g, "pieces", pieces))
        sockets.test_client(app).emit("order", 3)
        assert chest.force_flush(10)
        """,
        {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
    )
    (log,) = receiver.wait_for_logs(1, event="flask_chest.request")
    (span,) = receiver.wait_for_spans(1)
    assert (span["name"], span["kind"]) == ("socketio order", "consumer")
    assert log["body"] == "SOCKETIO order 200"
    said = {
        name: value for name, value in log["attributes"].items() if name.startswith(("http.re", "http.route", "mess"))
    }
    assert said == {"messaging.destination.name": "/", "messaging.socket.io.event_name": "order"}
