"""Log lines: the fields that they get, the line of each request, and the lines that a record keeps."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import io
import json
import logging
import logging.config
import logging.handlers
import queue
import sys
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import loguru
import pytest
import structlog
from flask import Flask, Response, copy_current_request_context, g, request, stream_with_context
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from flask_chest_otel import (
    ChestConfigError,
    FlaskChest,
    TrackedVar,
    current_request_id,
    flask_chest,
    trace_id_for,
)
from flask_chest_otel._request.lookup import context_getter
from flask_chest_otel.logs import RequestFields, loguru_patcher, structlog_processor
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.trace import SpanContext

    from tests.conftest import Rig

FORMAT = "%(request_id)s %(trace_id)s %(span_id)s %(message)s"
LOG = logging.getLogger("shop.log")


@contextmanager
def written(form: str = FORMAT, name: str = "shop.log", level: int = logging.DEBUG) -> Iterator[io.StringIO]:
    """What a handler of the application's own writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter(form))
    logger = logging.getLogger(name)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield stream
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def record_factory(factory: Callable[..., logging.LogRecord]) -> Iterator[None]:
    """The application's own log records; those from before at the end."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(factory)
    try:
        yield
    finally:
        logging.setLogRecordFactory(before)


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def say(text: str, *args: object) -> str:
    """A view, nearly."""
    LOG.warning(text, *args)
    return "ok"


def ask(app: Flask, request_id: str = "r-1", path: str = "/") -> bytes:
    """One request, its body read and closed."""
    with app.test_client().get(path, headers={"X-Request-ID": request_id}) as response:
        return bytes(response.data)


def test_a_line_has_the_ids_of_its_request(rig: Rig) -> None:
    """The request's id, and trace and span id of the span that is current."""
    app = rig.app()
    tracer = rig.tracer_provider.get_tracer("shop")

    @app.get("/")
    def view() -> str:
        LOG.info("in the view")
        with tracer.start_as_current_span("inner"):
            LOG.info("in a span")
        LOG.info("in the view again")
        return "ok"

    with written() as stream:
        ask(app)
    inner, server = rig.spans
    trace_id, first, second = (
        f"{server.context.trace_id:032x}",
        f"{server.context.span_id:016x}",
        f"{inner.context.span_id:016x}",
    )
    assert lines(stream) == [
        f"r-1 {trace_id} {first} in the view",
        f"r-1 {trace_id} {second} in a span",
        f"r-1 {trace_id} {first} in the view again",
    ]


def everywhere(app: Flask) -> None:
    """Lines from every place in which code of a request runs."""
    app.before_request(lambda: LOG.info("before_request"))
    app.after_request(saying_after)
    app.teardown_request(lambda _: LOG.info("teardown_request"))
    app.teardown_appcontext(saying_where_it_ends)
    app.register_error_handler(KeyError, lambda _: (say("handler"), 404))
    app.add_url_rule("/", view_func=busy_view)
    app.add_url_rule("/body", "body", lambda: Response(stream_with_context(two_pieces("body"))))
    app.add_url_rule("/late", "late", lambda: Response(two_pieces("late")))


def saying_after(response: Response) -> Response:
    LOG.info("after_request")
    return response


def saying_where_it_ends(_error: BaseException | None) -> None:
    # A thread with a copied context has one of these, too, after the request's context is gone there.
    if threading.current_thread() is threading.main_thread():
        LOG.info("teardown_appcontext")


async def busy_view() -> str:
    """Lines of its own, of threads with copies of its context, and of the handler of its exception."""
    LOG.info("async")
    await asyncio.sleep(0)
    copied = contextvars.copy_context()
    for target in (
        copy_current_request_context(lambda: LOG.info("copied request context")),
        lambda: copied.run(LOG.info, "copied context"),
    ):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    raise KeyError


def two_pieces(name: str) -> Iterator[str]:
    """A body."""
    LOG.info(name)
    yield "a"
    LOG.info("%s again", name)
    yield "b"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "/",
            [
                "before_request",
                "async",
                "copied request context",
                "copied context",
                "handler",
                "after_request",
                "teardown_request",
                "teardown_appcontext",
            ],
        ),
        ("/body", ["before_request", "body", "after_request", "body again", "teardown_request", "teardown_appcontext"]),
        ("/late", ["before_request", "after_request", "teardown_request", "teardown_appcontext", "late", "late again"]),
        ("/nowhere", ["before_request", "after_request", "teardown_request", "teardown_appcontext"]),
    ],
)
def test_a_line_knows_its_request_wherever_it_is_written(rig: Rig, path: str, said: list[str]) -> None:
    """In hooks, error handlers, async views, threads with a copied context, bodies, teardown functions."""
    app = rig.app()
    everywhere(app)
    with written() as stream:
        ask(app, path=path)
        LOG.info("outside")
    *inside, outside = lines(stream)
    trace_id = f"{rig.server().context.trace_id:032x}"
    # A thread with a copied request context has teardowns of its own.
    assert {line.split(" ", 3)[3] for line in inside} == set(said)
    assert {tuple(line.split(" ")[:2]) for line in inside} == {("r-1", trace_id)}
    assert outside == "- - - outside"


def test_nested_requests_have_lines_of_their_own(rig: Rig) -> None:
    """A request inside a request, of another application, and the outer one after it."""
    inner, outer = rig.plain("inner"), rig.app()
    rig.chest(inner)

    @inner.get("/")
    def inner_view() -> str:
        LOG.info("inner")
        return "ok"

    @outer.get("/")
    def outer_view() -> str:
        LOG.info("outer")
        ask(inner, "r-2")
        LOG.info("outer again")
        return "ok"

    with written("%(request_id)s %(message)s") as stream:
        ask(outer)
    assert lines(stream) == ["r-1 outer", "r-2 inner", "r-1 outer again"]


@pytest.mark.parametrize("names", [("request_id",), ("request_id", "trace_id", "span_id")])
def test_teardown_lines_of_a_nested_request_are_its_own(rig: Rig, names: tuple[str, ...]) -> None:
    """They are written after its record was made, when the outer request is the running one again."""
    app = rig.app(log_fields=names)
    app.add_url_rule("/inner", view_func=lambda: say("in the view"))
    app.teardown_request(lambda _error: LOG.warning("teardown_request"))

    @app.get("/outer")
    def outer_view() -> str:
        LOG.warning("before")
        ask(app, "r-2", "/inner")
        return say("after")

    with capture(app) as records, written("%(request_id)s %(message)s") as stream:
        ask(app, "r-1", "/outer")
    inner, outer = ["in the view", "teardown_request"], ["before", "after", "teardown_request"]
    assert [line for line in lines(stream) if line.startswith("r-2")] == [f"r-2 {text}" for text in inner]
    assert [line for line in lines(stream) if line.startswith("r-1")] == [f"r-1 {text}" for text in outer]
    assert {record.request_id: [line.message for line in record.logs] for record in records} == {
        "r-2": inner,
        "r-1": outer,
    }


def test_what_gunicorn_says_of_itself_belongs_to_no_request(rig: Rig) -> None:
    """Also where the application keeps the WSGI environment of the request that was served last."""
    app, kept = rig.app(), []

    @app.get("/")
    def view() -> str:
        kept.append(request.environ)
        return "ok"

    server = logging.getLogger("gunicorn.error")

    def serve() -> None:
        ask(app)
        server.error("Error handling request /")
        server.warning("Invalid request from ip=127.0.0.1")
        server.info("Worker exiting")
        logging.getLogger("gunicorn.access").info(
            "%(m)s", {"m": "GET", **{f"{{{key}}}e": kept[0][key] for key in kept[0]}}
        )
        server.error("Error handling request of another application")

    form = "%(request_id)s %(message)s"
    with written(form, "gunicorn.error") as errors, written(form, "gunicorn.access") as accesses:
        contextvars.Context().run(serve)
    assert lines(accesses) == ["r-1 GET"]
    assert [line.split()[0] for line in lines(errors)] == ["r-1", "-", "-", "-"]


def test_threads_and_lines_outside_have_dashes(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """From the moment the chest is set up, and without a complaint of logging's."""
    app = rig.app()

    @app.get("/")
    def view() -> str:
        thread = threading.Thread(target=LOG.info, args=("plain thread",))
        thread.start()
        thread.join()
        return "ok"

    with written() as stream:
        LOG.info("before")
        ask(app)
        LOG.info("after")
    assert lines(stream) == ["- - - before", "- - - plain thread", "- - - after"]
    assert "Logging error" not in capsys.readouterr().err


def test_what_the_application_says_wins(rig: Rig) -> None:
    """Its own ``extra``, filter or record factory, which none of ours is in the way of."""
    app = rig.app()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)
        record.span_id = "of the factory"
        return record

    def mine(record: logging.LogRecord) -> bool:
        record.trace_id = "of the filter"
        return True

    @app.get("/")
    def view() -> str:
        LOG.info("said", extra={"request_id": "of the line"})
        return "ok"

    LOG.addFilter(mine)
    try:
        with record_factory(factory), written() as stream:
            ask(app)
    finally:
        LOG.removeFilter(mine)
    assert lines(stream) == ["of the line of the filter of the factory said"]


def test_a_variable_of_the_line_wins(rig: Rig) -> None:
    """An ``extra`` with the name of a tracked variable stays; the ids are there beside it."""
    app = rig.app(tracked_vars=["user_id", "plan"], log_fields=["request_id", "trace_id", "span_id", "user_id", "plan"])

    @app.get("/")
    def view() -> str:
        g.user_id, g.plan = "ada", "pro"
        LOG.info("said", extra={"user_id": "of the line"})
        return "ok"

    with written("%(request_id)s %(user_id)s %(plan)s") as stream:
        LOG.info("before", extra={"plan": "of the line"})
        ask(app)
    assert lines(stream) == ["- - of the line", "r-1 of the line pro"]


class Mute(logging.LogRecord):
    """A record whose class has a name of ours, which nobody can set."""

    @property
    def trace_id(self) -> str:
        return "of the class"


def test_a_class_of_records_with_a_field_of_its_own(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """The line is written with all fields: a format reads what is stored in the record, not what its class computes."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: say("said"))
    with record_factory(Mute), written("%(request_id)s %(message)s %(trace_id)s") as stream:
        ask(app)
    assert lines(stream) == [f"r-1 said {trace_id_for('r-1')}"]
    assert capsys.readouterr().err == ""


class Frozen(logging.LogRecord):
    """A record whose trace id cannot be set."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "trace_id":
            raise TypeError("frozen")
        super().__setattr__(name, value)


@pytest.mark.guard_on
def test_a_class_of_records_that_refuses_a_field(rig: Rig) -> None:
    """The line has the ids of its request all the same."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: say("said"))
    with record_factory(Frozen), written("%(request_id)s %(message)s %(trace_id)s") as stream:
        ask(app)
    assert lines(stream) == [f"r-1 said {trace_id_for('r-1')}"]


class PlainContext:
    """A runtime context of somebody else's, whose tokens know no variable."""

    def __init__(self) -> None:
        self.found = [otel_context.Context()]

    def attach(self, context: otel_context.Context) -> object:
        self.found.append(context)
        return object()

    def get_current(self) -> otel_context.Context:
        return self.found[-1]

    def detach(self, token: object) -> None:
        self.found.pop()


def test_the_current_context_whoever_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read from OpenTelemetry's variable, and asked for where another runtime context keeps it elsewhere."""
    for _ in range(2):
        current, before = context_getter(), otel_context.get_current()
        token = otel_context.attach(otel_context.Context({"a": 1}))
        assert current() is otel_context.get_current()
        otel_context.detach(token)
        assert current() is before
        monkeypatch.setattr(otel_context, "_RUNTIME_CONTEXT", PlainContext())


@pytest.mark.guard_on
@pytest.mark.parametrize(
    ("field", "said"),
    [
        (
            "nonsense",
            "log_fields='nonsense' cannot be used: give an id or a variable that some route tracks: request_id,",
        ),
        ("user_di", "trace_id, span_id, of_the_view, user_id (did you mean 'user_id'?)"),
        ("requestid", "(did you mean 'request_id'?)"),
    ],
)
def test_a_field_that_nobody_fills(rig: Rig, caplog: pytest.LogCaptureFixture, field: str, said: str) -> None:
    """Routes may come after the extension: it is named at the first request, once, with what there is."""
    app = rig.app(log_fields=["request_id", "of_the_view", field], tracked_vars=["user_id"])
    app.route("/")(flask_chest("of_the_view")(lambda: "ok"))
    ask(app)
    ask(app)
    (line,) = [record.message for record in caplog.records if record.message.startswith("log_fields=")]
    assert said in line
    assert "; requests are served all the same" in line


def test_a_field_that_may_come(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Where everything on g is tracked, any field can be one."""
    app = rig.app(log_fields=["anything"], tracked_vars="*")
    app.route("/")(lambda: "ok")
    ask(app)
    assert "log_fields" not in caplog.text


def test_variables_are_bounded_and_masked(rig: Rig) -> None:
    """The value at that moment, as it would be recorded, and on one line."""
    app = rig.app(
        log_fields=["request_id", "user_id", "api_token", "note", "unknown"],
        tracked_vars=["user_id", "api_token", "note"],
        value_limit_chars=16,
    )

    @app.get("/")
    def view() -> str:
        LOG.info("1")
        g.user_id, g.api_token, g.note = 7, "secret", "a\nb" + "c" * 100
        LOG.info("2")
        return "ok"

    with written("%(request_id)s|%(user_id)s|%(api_token)s|%(note)s|%(unknown)s|%(message)s") as stream:
        ask(app)
    first, second = lines(stream)
    assert first == "r-1|-|-|-|-|1"
    assert second.startswith("r-1|7|[REDACTED]|a\\nbc")
    assert second.endswith("|-|2")
    assert len(second) < 60


def test_variables_of_a_route_and_of_everything(rig: Rig) -> None:
    """What only one route tracks, and what ``"*"`` does."""
    app = rig.app(log_fields=["size", "depth"])

    @app.get("/one")
    @flask_chest("size")
    def one() -> str:
        g.size = g.depth = 3
        LOG.info("one")
        return "ok"

    @app.get("/all")
    @flask_chest("*,-depth")
    def every() -> str:
        g.size = g.depth = 4
        LOG.info("all")
        return "ok"

    with written("%(size)s %(depth)s %(message)s") as stream:
        ask(app, path="/one")
        ask(app, path="/all")
    assert lines(stream) == ["3 - one", "4 - all"]


@pytest.mark.guard_on
def test_a_value_that_logs_or_raises_does_no_harm(rig: Rig) -> None:
    """Code of the application's that is asked for a value may log itself, or fail."""

    def convert(value: Any) -> Any:
        LOG.info("converting")
        return value / 0

    app = rig.app(log_fields=["request_id", "x"], tracked_vars=[TrackedVar("x", convert=convert)])

    @app.get("/")
    def view() -> str:
        g.x = 1
        LOG.info("said")
        return "ok"

    with written("%(request_id)s %(x)s %(message)s") as stream:
        assert ask(app) == b"ok"
    assert lines(stream)[:2] == ["r-1 - converting", "r-1 - said"]


def test_a_line_in_the_id_generator_does_not_decide_the_id(rig: Rig) -> None:
    """The generator's id is the request's, and the trace id is made from it, whatever was logged meanwhile."""

    def generate() -> str:
        LOG.info("generating")
        return "made"

    app = rig.app(request_id_generator=generate)
    app.add_url_rule("/", view_func=lambda: say("view"))
    with capture(app) as records, written("%(request_id)s %(message)s") as stream:
        app.test_client().get("/").close()
    assert lines(stream) == ["- generating", "made view"]
    (record,) = records
    assert (record.request_id, record.trace_id) == ("made", trace_id_for("made"))


def test_an_id_that_is_asked_for_in_its_generator(rig: Rig) -> None:
    """The trace id is made from the id that the generator returns in the end."""
    app = rig.app(request_id_generator=lambda: f"of-{current_request_id()}"[:5])
    app.add_url_rule("/", view_func=lambda: "ok")
    with capture(app) as records:
        app.test_client().get("/").close()
    assert records[0].trace_id == trace_id_for(records[0].request_id)


def test_an_id_decided_by_a_line_is_the_trace_id(rig: Rig) -> None:
    """Where a request brought no id, that of its lines is its trace id, beside upstream's span as well."""
    app = rig.plain()
    app.before_request(lambda: LOG.info("early"))
    rig.chest(app, server_span="upstream")
    app.add_url_rule("/", view_func=lambda: say("view"))
    with capture(app) as records, written("%(request_id)s %(message)s") as stream:
        app.test_client().get("/").close()
    (record,) = records
    assert record.trace_id == record.request_id
    assert lines(stream) == [f"{record.request_id} early", f"{record.request_id} view"]


def test_two_applications_with_other_fields(rig: Rig) -> None:
    """Each has its own; what another one asks for is there, and empty."""
    one, two, three = rig.plain("one"), rig.plain("two"), rig.plain("three")
    rig.chest(one, log_fields=["request_id"])
    rig.chest(two, log_fields=["request_id", "user_id"], tracked_vars=["user_id"])
    rig.chest(three, log_fields=())
    for app in (one, two, three):

        @app.get("/")
        def view() -> str:
            g.user_id = "u1"
            LOG.info("said")
            return "ok"

    with written("%(request_id)s %(user_id)s") as stream:
        for app in (one, two, three):
            ask(app, app.name)
    assert lines(stream) == ["one -", "two u1", "- -"]


def test_switched_off_the_fields_stay(rig: Rig) -> None:
    """``enabled=False`` must not break a format that asks for them."""
    app = rig.app(enabled=False)
    app.add_url_rule("/", view_func=lambda: say("said"))
    with written() as stream:
        ask(app)
    assert lines(stream) == ["- - - said"]


@pytest.mark.parametrize("name", ["message", "name", "two words", ""])
def test_names_that_cannot_be_fields(name: str) -> None:
    """What log records have already, and what is no name."""
    with pytest.raises(ChestConfigError, match="log_fields"):
        FlaskChest(log_fields=["request_id", name])


def test_a_queue_takes_the_fields_along(rig: Rig) -> None:
    """They are on the record before a ``QueueHandler`` hands it to another thread."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: say("said %s", "so"))
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    handler = logging.handlers.QueueHandler(records)
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    try:
        ask(app)
    finally:
        LOG.removeHandler(handler)
    assert vars(records.get_nowait())["request_id"] == "r-1"


def test_a_filter_of_a_logger_sees_the_fields(rig: Rig) -> None:
    """Also one that replaces the record, and the lines that a record keeps come after it."""
    app = rig.app()

    def replace(record: logging.LogRecord) -> bool:
        record.msg = f"{vars(record)['request_id']}: ***"
        return record.levelno > logging.INFO

    @app.get("/")
    def view() -> str:
        LOG.info("a secret that is dropped")
        LOG.warning("a secret")
        return "ok"

    LOG.addFilter(replace)
    try:
        with capture(app) as records, written("%(message)s") as stream:
            ask(app)
    finally:
        LOG.removeFilter(replace)
    assert lines(stream) == ["r-1: ***"]
    assert [line.message for line in records[0].logs] == ["r-1: ***"]


# Filter, structlog, loguru


def test_the_filter_gives_fields_to_any_handler(rig: Rig) -> None:
    """Where ``log_fields`` gives none, on a handler of its own, with names of its own."""
    app = rig.app(log_fields=(), tracked_vars=["user_id"])

    @app.get("/")
    def view() -> str:
        g.user_id = "u1"
        LOG.info("said")
        return "ok"

    with written("%(request_id)s %(user_id)s %(message)s") as stream:
        LOG.handlers[-1].addFilter(RequestFields(["request_id", "user_id"]))
        ask(app)
        LOG.info("outside")
    assert lines(stream) == ["r-1 u1 said", "- - outside"]


def test_structlog(rig: Rig) -> None:
    """Fields stand in structlog's events, and its own win."""
    app = rig.app()
    with structlog.testing.capture_logs(processors=[structlog_processor]) as events:
        log = structlog.get_logger()
        app.add_url_rule("/", view_func=lambda: str([log.info("said"), log.info("own", request_id="mine")]))
        ask(app)
        log.info("outside")
    assert [event["request_id"] for event in events] == ["r-1", "mine", "-"]
    assert events[0]["trace_id"] == f"{rig.server().context.trace_id:032x}"


def test_loguru(rig: Rig) -> None:
    """Fields stand in loguru's ``extra``, and its own win."""
    app = rig.app()
    log = loguru.logger.patch(loguru_patcher)  # type: ignore[arg-type]  # a TypedDict of loguru's stub file
    said: list[str] = []
    handler = log.add(
        lambda message: said.append(str(message)), format="{extra[request_id]} {extra[trace_id]} {message}"
    )
    app.add_url_rule("/", view_func=lambda: str([log.info("said"), log.bind(request_id="mine").info("own")]))
    ask(app)
    log.info("outside")
    log.remove(handler)
    trace_id = f"{rig.server().context.trace_id:032x}"
    assert said == [f"r-1 {trace_id} said\n", f"mine {trace_id} own\n", "- - outside\n"]


# One line for each request


def test_the_line_of_a_request_as_json(rig: Rig) -> None:
    """Every field of the record, in JSON and as attributes of the log record."""
    app = rig.app(request_log="json", tracked_vars=["user_id", "total"])

    @app.get("/cart/<int:number>")
    def cart(number: int) -> str:
        g.user_id, g.total = "u1", float("nan")
        return str(number)

    with (
        capture(app) as records,
        written("%(levelname)s %(method)s %(status)d %(message)s", "flask_chest.request") as out,
    ):
        ask(app, path="/cart/7?x=1")
    (line,) = lines(out)
    level, method, status, text = line.split(" ", 3)
    assert (level, method, status) == ("INFO", "GET", "200")
    found = json.loads(text)
    assert found.pop("duration_ms") > 0
    (record,) = records
    assert {
        name: found[name] for name in ("request_id", "trace_id", "span_id", "route", "service", "status", "variables")
    } == {
        "request_id": "r-1",
        "trace_id": record.trace_id,
        "span_id": record.span_id,
        "route": "/cart/<int:number>",
        "service": "shop",
        "status": 200,
        "variables": {"user_id": "u1", "total": "NaN"},
    }


def test_the_line_of_a_request_has_the_fields_of_other_lines(rig: Rig) -> None:
    """A variable among the fields has its last value there, on one line; ``-`` where it was not set."""
    app = rig.app(request_log="logfmt", tracked_vars=["user_id"], log_fields=["request_id", "user_id"])
    app.add_url_rule("/", view_func=lambda: str(vars(g).update(user_id="u1\nu2")))
    app.add_url_rule("/none", "none", view_func=lambda: "ok")
    with written("%(request_id)s %(user_id)s", "flask_chest.request") as out:
        ask(app)
        ask(app, path="/none")
    assert lines(out) == [r"r-1 u1\nu2", "r-1 -"]


@pytest.mark.parametrize("sampled", [True, False])
def test_the_line_of_a_request_belongs_to_its_trace(rig: Rig, sampled: bool) -> None:
    """Handlers that ask OpenTelemetry for the current span get the request's; a line that they write has its ids."""
    app = rig.plain()
    provider = None if sampled else TracerProvider(sampler=ALWAYS_OFF)
    rig.chest(app, request_log="logfmt", **({"tracer_provider": provider} if provider else {}))
    app.add_url_rule("/", view_func=lambda: "ok")
    found: list[SpanContext] = []

    class Asking(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(trace.get_current_span().get_span_context())
            LOG.info("sent on")

    handler, logger = Asking(), logging.getLogger("flask_chest.request")
    logger.addHandler(handler)
    try:
        with capture(app) as records, written() as out:
            ask(app)
    finally:
        logger.removeHandler(handler)
    ((record,), (context,)) = records, found
    assert (f"{context.trace_id:032x}", f"{context.span_id:016x}") == (record.trace_id, record.span_id)
    assert context.trace_flags.sampled is sampled
    assert lines(out) == [f"r-1 {record.trace_id} {record.span_id} sent on"]
    assert not trace.get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("form", ["json", "logfmt"])
def test_nobody_forges_a_line(rig: Rig, form: str) -> None:
    """Line ends, quotes, and signs that turn text around are escaped; what was meant can be read."""
    app = rig.app(request_log=form, tracked_vars=["note"])
    note = 'x" status=200\nlevel=ERROR \u2028\u202e\x85\U000e0001\ud800 é'
    app.add_url_rule("/", view_func=lambda: str(vars(g).update(note=note)))
    with written("%(message)s", "flask_chest.request") as out:
        ask(app)
    (line,) = lines(out)
    assert line.isprintable()
    quoted = line.partition('"note": ' if form == "json" else "g.note=")[2]
    assert json.JSONDecoder().raw_decode(quoted)[0] == note.replace("\x85", "\ufffd").replace("\ud800", "\ufffd")
    assert "é" in line


def test_a_request_that_fails_is_an_error(rig: Rig) -> None:
    """Level ERROR for what the server answers with a 5xx; no more than one line for each request."""
    app = rig.app(request_log="logfmt")
    app.add_url_rule("/fails", "fails", view_func=lambda: str(1 / 0))
    app.add_url_rule("/busy", "busy", view_func=lambda: ("busy", 503))
    app.add_url_rule("/none", "none", view_func=lambda: ("none", 404))
    with written("%(levelname)s %(status)s", "flask_chest.request") as out:
        for path in ("/fails", "/busy", "/none"):
            ask(app, path=path)
    assert lines(out) == ["ERROR 500", "ERROR 503", "INFO 404"]


def test_the_line_says_why_a_request_failed(rig: Rig) -> None:
    """Type, words and place of the error, on one line whatever the words are; handled ones are no error's line."""
    app = rig.app(request_log="logfmt")
    app.register_error_handler(KeyError, lambda _: ("gone", 410))
    app.add_url_rule("/fails", "fails", view_func=refuse)
    app.add_url_rule("/gone", "gone", view_func=lambda: vars(g)["nothing"])
    with written("%(levelname)s %(error_type)s %(message)s", "flask_chest.request") as out:
        for path in ("/fails", "/gone"):
            ask(app, path=path)
    fails, gone = lines(out)
    assert fails.startswith("ERROR ValueError request_id=r-1 ")
    assert r'error_type=ValueError error_message="a' in fails
    assert " path=/fails " in fails
    assert gone.startswith("INFO KeyError ")
    assert " status=410 " in gone


def test_a_foreign_record_factory_does_not_cost_the_line(rig: Rig) -> None:
    """One that sets ``request_id`` makes ``extra=`` with that name raise."""
    app = rig.app(request_log="logfmt")
    app.add_url_rule("/", view_func=lambda: "ok")

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)
        record.request_id = "theirs"
        return record

    with record_factory(factory), written("%(request_id)s", "flask_chest.request") as out:
        ask(app)
    assert lines(out) == ["r-1"]


def test_the_line_is_written_once_where_logging_is_set_up_later(run_python: Callable[..., str]) -> None:
    """Configured after the first request: each line has one way, and nothing of ours stays on the logger."""
    said = run_python("""
        import logging, sys
        from flask import Flask
        from flask_chest_otel import FlaskChest
        app = Flask("shop")
        app.testing = True
        FlaskChest(app, request_log="logfmt", export=None)
        app.add_url_rule("/", view_func=lambda: "ok")
        sys.stderr = sys.stdout
        client = app.test_client()
        client.get("/", headers={"X-Request-ID": "r-1"})
        logging.basicConfig(stream=sys.stdout, format="ROOT %(message)s")
        client.get("/", headers={"X-Request-ID": "r-2"})
        logger = logging.getLogger("flask_chest.request")
        print(logger.handlers, logger.level)
    """).splitlines()
    assert said[0].startswith("request_id=r-1 ")
    assert said[1].startswith("ROOT request_id=r-2 ")
    assert said[2:] == ["[] 0"]


def test_the_line_needs_no_configuration(run_python: Callable[..., str]) -> None:
    """Where no logging is set up, lines go to standard error; ``dictConfig`` before the first request keeps them."""
    program = """
        import logging.config, sys
        from flask import Flask
        from flask_chest_otel import FlaskChest
        app = Flask("shop")
        app.testing = True
        FlaskChest(app, request_log="logfmt", export=None)
        app.add_url_rule("/", view_func=lambda: "ok")
        {config}
        sys.stderr = sys.stdout
        app.test_client().get("/")
    """
    assert " status=200 " in run_python(program.format(config=""))
    config = (
        "logging.config.dictConfig({'version': 1, 'handlers': {'h': {'class': 'logging.StreamHandler', "
        "'stream': sys.stdout}}, 'root': {'handlers': ['h']}})"
    )
    assert run_python(program.format(config=config)).count(" status=200 ") == 1


# Lines of a record


def refuse() -> str:
    raise ValueError("a\x00b")


def test_a_record_keeps_its_lines(rig: Rig) -> None:
    """What the application's loggers emit at their own levels, in the order of time."""
    app = rig.app(request_log="json")

    @app.get("/")
    def view() -> str:
        LOG.debug("too quiet")
        LOG.info("said %s", "so")
        try:
            refuse()
        except ValueError:
            LOG.exception("failed")
        LOG.warning("%d does not fit", "this")
        return "ok"

    with capture(app) as records, written(level=logging.INFO), pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging, "raiseExceptions", False)
        ask(app)
    (record,) = records
    assert [(line.level, line.logger, line.message) for line in record.logs] == [
        ("INFO", "shop.log", "said so"),
        ("ERROR", "shop.log", "failed\nValueError: a\ufffdb"),
        ("WARNING", "shop.log", "%d does not fit"),
    ]
    assert record.logs_dropped == 0
    times = [line.time_unix_ns for line in record.logs]
    assert times == sorted(times)
    assert record.start_unix_ns - 1_000_000 < times[0] < record.start_unix_ns + 10**10


@pytest.mark.parametrize("count", [10, 60, 2000])
def test_lines_are_bounded_and_errors_stay(rig: Rig, count: int) -> None:
    """50 lines of 1 KiB: the first errors, the last of the others, the rest counted."""
    app = rig.app()

    @app.get("/")
    def view() -> str:
        LOG.error("first")
        for number in range(count):
            LOG.info("%d %s", number, "é" * 2000)
        return "ok"

    with capture(app) as records, written():
        ask(app)
    (record,) = records
    kept = min(count, 49)
    assert len(record.logs) == kept + 1
    assert record.logs_dropped == count - kept
    assert record.logs[0].message == "first"
    assert [line.message.split()[0] for line in record.logs[1:]] == [
        str(number) for number in range(count - kept, count)
    ]
    assert all(len(line.message.encode()) <= 1024 for line in record.logs)


class Asked:
    """An argument of a line; knows how often somebody wanted its text."""

    def __init__(self) -> None:
        self.times = 0

    def __str__(self) -> str:
        self.times += 1
        LOG.info("asked")
        raise LookupError


def test_a_line_that_no_handler_takes_runs_no_code(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are asked for their texts by handlers alone; plain arguments are put into the line all the same."""
    app = rig.app()
    asked = Asked()

    @app.get("/")
    def view() -> str:
        LOG.info("order %s", asked)
        LOG.info(asked)
        LOG.info("%(number)d ducks", {"number": 3})
        return "ok"

    monkeypatch.setattr(LOG, "propagate", False)
    monkeypatch.setattr(LOG, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(LOG, "level", logging.INFO)
    with capture(app) as records:
        ask(app)
    assert asked.times == 0
    assert [line.message for line in records[0].logs] == ["order %s", "(tests.unit.test_logs.Asked)", "3 ducks"]


def test_lines_of_odd_records_are_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter that leaves something in place of the text, and a record made by hand, cost no line."""
    app = rig.app()

    class Structured(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            record.message = {"a": 1}  # type: ignore[assignment]
            return True

    @app.get("/")
    def view() -> str:
        LOG.info("said")
        made = LOG.makeRecord(LOG.name, logging.INFO, "shop.py", 1, "by hand", (), None)
        made.exc_info = True  # type: ignore[assignment]
        LOG.handle(made)
        return "ok"

    monkeypatch.setattr(LOG, "propagate", False)
    monkeypatch.setattr(LOG, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(LOG, "filters", [Structured()])
    monkeypatch.setattr(LOG, "level", logging.INFO)
    with capture(app) as records:
        ask(app)
    assert [line.message for line in records[0].logs] == ["said", "by hand"]


@pytest.mark.slow
def test_lines_of_several_threads_are_all_counted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of one request log at once: each line is kept or counted, and the record is there."""
    app = rig.app()

    @app.get("/")
    def view() -> str:
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=(deque, map(LOG.info, ["line"] * 3000), 0))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return "ok"

    before = sys.getswitchinterval()
    monkeypatch.setattr(LOG, "propagate", False)
    LOG.addHandler(silent := logging.NullHandler())
    monkeypatch.setattr(LOG, "level", logging.INFO)
    sys.setswitchinterval(1e-6)
    try:
        with capture(app) as records:
            for _ in range(4):
                ask(app)
    finally:
        sys.setswitchinterval(before)
        LOG.removeHandler(silent)
    assert [(len(record.logs), record.logs_dropped) for record in records] == [(50, 12_000 - 50)] * 4


def fail(number: int) -> str:
    LOG.error("%d", number)
    return "."


def test_more_errors_than_there_is_room_for(rig: Rig) -> None:
    """Of a storm of errors the first stay, which say how it began."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "".join(fail(number) for number in range(70)))
    with capture(app) as records, written():
        ask(app)
    assert [line.message for line in records[0].logs] == [str(number) for number in range(50)]
    assert records[0].logs_dropped == 20


def test_lines_of_a_body_are_kept(rig: Rig) -> None:
    """Those of a body that is made while it is sent, with and without the request's context."""
    app = rig.app()
    everywhere(app)
    for path in ("/body", "/late"):
        with capture(app) as records, written():
            ask(app, path=path)
        assert f"{path[1:]} again" in [line.message for line in records[0].logs]


def test_lines_are_kept_only_where_somebody_wants_them(rig: Rig) -> None:
    """Not with ``store_logs=False``, nor for a chest that says nothing of them."""

    class Chest:
        name = "audit"

        def __init__(self) -> None:
            self.records: list[Any] = []

        def put(self, record: Any) -> None:
            self.records.append(record)

        def flush(self, timeout_s: float) -> bool:
            return True

        close = flush

    class Keeping(Chest):
        keeps_logs = True

    found: list[list[str]] = []
    for chest, options in ((Chest(), {}), (Keeping(), {"store_logs": False}), (Keeping(), {})):
        app = rig.plain(f"shop{len(found)}")
        rig.chest(app, chests=[chest], export=None, **options)
        app.add_url_rule("/", view_func=lambda: say("said"))
        ask(app)
        found.append([line.message for line in chest.records[0].logs])
    assert found == [[], [], ["said"]]


# On and off


def test_on_off_on_leaves_logging_as_it_was(run_python: Callable[..., str]) -> None:
    """Zero code puts nothing on; with fields asked for, everything comes off, also below what others have put on."""
    run_python(
        """
        import logging
        from flask import Flask
        from flask_chest_otel import FlaskChestInstrumentor
        from flask_chest_otel.testing import capture

        before = dict(vars(logging.Logger)), dict(vars(logging)), dict(vars(logging.LogRecord))
        now = lambda: (dict(vars(logging.Logger)), dict(vars(logging)), dict(vars(logging.LogRecord)))
        app = Flask("shop")
        app.testing = True
        app.add_url_rule("/", view_func=lambda: logging.warning("said") or "ok")
        FlaskChestInstrumentor().instrument()
        app.test_client().get("/")
        assert now() == before
        FlaskChestInstrumentor().uninstrument()
        for _ in range(3):
            FlaskChestInstrumentor().instrument(log_fields=["request_id"])
            with capture(app) as records:
                app.test_client().get("/")
            assert [line.message for line in records[0].logs] == ["said"]
            assert now()[0] != before[0]
            FlaskChestInstrumentor().uninstrument()
            assert now() == before
        FlaskChestInstrumentor.instrument_app(app, log_fields=["request_id"])
        assert now()[0] != before[0]
        FlaskChestInstrumentor.uninstrument_app(app)
        assert now() == before

        FlaskChestInstrumentor().instrument(log_fields=["request_id"])
        ours = logging.Logger.handle
        logging.Logger.handle = lambda self, record: ours(self, record)
        FlaskChestInstrumentor().uninstrument()
        seen = []
        handler = logging.Handler()
        handler.emit = seen.append
        logging.getLogger().addHandler(handler)
        logging.warning("said")
        assert len(seen) == 1 and not hasattr(seen[0], "request_id")
        FlaskChestInstrumentor().instrument(log_fields=["request_id"])
        logging.warning("said")
        assert seen[1].request_id == "-"
        """
    )


def test_no_sdk_at_all(run_python: Callable[..., str]) -> None:
    """Where the SDK is switched off there is a request id, and no trace id."""
    said = run_python(
        """
        import logging, sys
        logging.basicConfig(stream=sys.stdout, format="%(request_id)s %(trace_id)s %(message)s")
        from flask import Flask, Response
        from flask_chest_otel import FlaskChest
        app = Flask("shop")
        FlaskChest(app, export=None)

        def body():
            logging.warning("body")
            yield "ok"

        app.add_url_rule("/", view_func=lambda: logging.warning("said") or Response(body()))
        response = app.test_client().get("/", headers={"X-Request-ID": "r-1"})
        response.data
        logging.warning("outside")
        """,
        {"OTEL_SDK_DISABLED": "true"},
    )
    assert said.splitlines() == ["r-1 - said", "r-1 - body", "- - outside"]


def say_configured() -> str:
    logging.getLogger("shop.configured").info("said")
    return "ok"


def test_configuration_before_and_after(rig: Rig) -> None:
    """``dictConfig`` at any time, ``disable_existing_loggers`` and logger classes of others change nothing."""

    class Mine(logging.getLoggerClass()):  # type: ignore[misc]  # whatever it is
        pass

    config = {
        "version": 1,
        "formatters": {"ids": {"format": "%(request_id)s %(message)s"}},
        "handlers": {"mine": {"class": "logging.StreamHandler", "formatter": "ids", "stream": "ext://sys.stderr"}},
        "loggers": {"shop.configured": {"handlers": ["mine"], "level": "INFO", "propagate": False}},
        "disable_existing_loggers": False,
    }
    app = rig.app()
    app.add_url_rule("/", view_func=say_configured)
    plain, stream = logging.getLoggerClass(), io.StringIO()
    logging.setLoggerClass(Mine)
    try:
        for _ in range(2):
            logging.config.dictConfig(config)
            logger = logging.getLogger("shop.configured")
            logger.handlers[0].setStream(stream)  # type: ignore[attr-defined]
            ask(app)
    finally:
        logging.setLoggerClass(plain)
        logger.handlers.clear()
    assert stream.getvalue().splitlines() == ["r-1 said"] * 2


@pytest.mark.guard_on
def test_errors_of_ours_do_not_come_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in what fills the fields is logged once, and the line goes out with dashes."""
    app = rig.app()

    def broken(*_: Any) -> Any:
        raise LookupError("a defect")

    monkeypatch.setattr("flask_chest_otel._logs.fields.LogFields.ids", broken)
    app.add_url_rule("/", view_func=lambda: say("said"))
    with written() as stream:
        assert ask(app) == b"ok"
    assert lines(stream) == ["- - - said"]


def test_a_record_keeps_the_lines_of_teardown_functions(rig: Rig) -> None:
    """They come after the record was made, and often say what went wrong with a transaction."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: say("in the view"))

    @app.teardown_request
    def roll_back(_error: BaseException | None) -> None:
        app.logger.error("rollback failed")

    with capture(app) as records:
        ask(app)
    (record,) = records
    assert [line.message for line in record.logs] == ["in the view", "rollback failed"]


class Masked(logging.Filter):
    """Puts a masked copy in the place of a record, as filters may since Python 3.12."""

    def filter(self, record: logging.LogRecord) -> Any:
        found = copy.copy(record)
        found.msg, found.args = record.getMessage().replace("hunter2", "***"), ()
        return found


@pytest.mark.skipif(sys.version_info < (3, 12), reason="a filter only says whether a line is written")
def test_a_record_keeps_what_a_filter_has_masked(rig: Rig) -> None:
    """What was written is kept, also where the filter leaves the original record as it is."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: say("login with %s", "hunter2"))
    with capture(app) as records, written() as stream:
        LOG.handlers[-1].addFilter(Masked())
        ask(app)
    assert "login with ***" in stream.getvalue()
    assert [line.message for line in records[0].logs] == ["login with ***"]


def test_a_record_keeps_no_secret_field_of_structlog(rig: Rig) -> None:
    """``ProcessorFormatter`` gets a mapping, of which it masks a copy."""
    app = rig.app()

    @app.get("/")
    def view() -> str:
        LOG.warning({"event": "login", "password": "hunter2", "user": {"token": "hunter2", "name": "ann"}})
        return "ok"

    with capture(app) as records:
        ask(app)
    (line,) = records[0].logs
    assert line.message == "{'event': 'login', 'password': [REDACTED], 'user': {'token': [REDACTED], 'name': 'ann'}}"


def test_a_mapping_that_no_handler_takes_runs_no_code(rig: Rig) -> None:
    """Its values are not asked for their texts, as nobody else has asked them."""

    class Loud:
        def __repr__(self) -> str:
            raise AssertionError

    app = rig.app()

    @app.get("/")
    def view() -> str:
        quiet = logging.getLogger("shop.quiet")
        quiet.propagate = False
        quiet.addHandler(logging.NullHandler())
        quiet.warning({"event": Loud()})
        return "ok"

    with capture(app) as records:
        ask(app)
    assert [line.message for line in records[0].logs] == ["(dict)"]


class Colours(logging.Formatter):
    """Colours the name of the level on the record itself, as a common recipe does."""

    def format(self, record: logging.LogRecord) -> str:
        record.levelname = f"\x1b[31m{record.levelname}\x1b[0m"
        return super().format(record)


class Passing(logging.Handler):
    """Passes records on to another logger."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger("shop.audit").handle(record)


def test_a_record_keeps_the_level_and_each_line_once(rig: Rig) -> None:
    """Whatever handlers do with a record: colour its level, or pass it on to another logger."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: say("one line"))
    passing = Passing()
    with capture(app) as records, written() as stream:
        LOG.handlers[-1].setFormatter(Colours("%(levelname)s %(message)s"))
        LOG.addHandler(passing)
        try:
            ask(app)
        finally:
            LOG.removeHandler(passing)
    assert "\x1b[31mWARNING" in stream.getvalue()
    assert [(line.level, line.message) for line in records[0].logs] == [("WARNING", "one line")]


@pytest.mark.parametrize("token", ["hunter2", "a b/c", "x" * 2000])
def test_a_record_keeps_no_secret_path_in_its_lines(rig: Rig, token: str) -> None:
    """Flask writes the path of each request that failed: where it holds a secret, the rule stands in the kept line."""
    app = rig.app()

    @app.get("/reset/<path:token>")
    def view(token: str) -> str:
        app.logger.warning("asked for %s", request.url)
        raise ValueError(str(len(token)))

    with capture(app) as records:
        ask(app, path=f"/reset/{token}")
    (record,) = records
    assert [line.message for line in record.logs] == [
        "asked for http://localhost/reset/<path:token>",
        f"Exception on /reset/<path:token> [GET]\nValueError: {len(token)}",
    ]
