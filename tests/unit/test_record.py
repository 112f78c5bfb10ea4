"""The record of a request: why it failed, its path, its version, and how long its parts took."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy
from flask import (
    Flask,
    Response,
    abort,
    copy_current_request_context,
    g,
    render_template_string,
    request,
    stream_with_context,
)
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from werkzeug.debug import DebuggedApplication
from werkzeug.exceptions import HTTPException, InternalServerError
from werkzeug.test import create_environ, run_wsgi_app

from flask_chest_otel import FlaskChest
from flask_chest_otel.testing import RequestError, RequestRecord, capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Rig

PLACE = f"{__name__}:fail:"


class ShopError(Exception):
    """An exception of the application's."""


def fail(text: str = "no stock") -> Any:
    raise ShopError(text)


def only(app: Flask, path: str = "/", **options: Any) -> tuple[RequestRecord, Any]:
    """The record of one request, and its response, read to the end."""
    with capture(app) as records:
        response = app.test_client().get(path, **options)
        with suppress(ShopError):
            response.get_data()
        response.close()
    (record,) = records
    return record, response


def error_of(record: RequestRecord) -> RequestError:
    assert record.error is not None
    return record.error


PROVIDERS: dict[str, Callable[[Rig], dict[str, Any]]] = {
    "none": lambda _rig: {"export": None},
    "private": lambda _rig: {"export": "store"},
    "application's own": lambda rig: rig.providers,
    "sampled out": lambda rig: {**rig.providers, "tracer_provider": rig.provider(sampler=ALWAYS_OFF)},
    "no server span": lambda rig: {**rig.providers, "server_span": None},
    "nothing at the border": lambda rig: {**rig.providers, "server_span": None, "response_headers": ()},
}


@pytest.fixture(params=PROVIDERS, ids=lambda name: str(name).replace(" ", "-"))
def app(request: pytest.FixtureRequest, rig: Rig) -> Flask:
    """An application with each kind of provider."""
    app = rig.plain()
    FlaskChest(app, **PROVIDERS[request.param](rig))
    return app


def test_unhandled(app: Flask) -> None:
    """What the view raises is in the record: type, message, place in the application's own code, stack."""
    app.add_url_rule("/", view_func=fail)
    record, _ = only(app)
    error = error_of(record)
    assert record.status == 500
    assert (error.type, error.message, error.handled) == (f"{__name__}.ShopError", "no stock", False)
    assert error.place == f"{PLACE}{fail.__code__.co_firstlineno + 1}"
    assert error.stack.startswith("Traceback (most recent call last):\n")
    assert error.stack.endswith(f"{__name__}.ShopError: no stock\n")
    assert "flask_chest_otel/" not in error.stack
    assert "in fail\n    raise ShopError(text)" in error.stack


def answering(kind: Any, text: str, status: int) -> Callable[[Flask], None]:
    """A view fails, and an error handler for this class or status answers."""

    def put_on(app: Flask) -> None:
        app.add_url_rule("/", view_func=fail)
        app.register_error_handler(kind, lambda _: (text, status))

    return put_on


def fails_after_the_view(app: Flask) -> None:
    app.add_url_rule("/", view_func=lambda: "ok", endpoint="ok")
    app.after_request(lambda _response: fail("after"))


def fails_in_an_async_view(app: Flask) -> None:
    @app.get("/")
    async def view() -> Any:
        fail("async")


@dataclass(frozen=True)
class Failure:
    """A request in which something is raised, and what its record says of it.

    Attributes:
        put_on: Makes an application fail so.
        message: That of the exception.
        status: What the client gets.
        answer: The body that an error handler gives; None: no handler answers.
    """

    put_on: Callable[[Flask], None]
    message: str
    status: int
    answer: str | None = None


FAILURES = {
    "in an async view": Failure(fails_in_an_async_view, "async", 500),
    "in after_request": Failure(fails_after_the_view, "after", 500),
    "answered by its handler": Failure(answering(ShopError, "sold out", 409), "no stock", 409, answer="sold out"),
    # A page for failures is an error handler, too.
    "answered by the page for 500": Failure(answering(500, "sorry", 500), "no stock", 500, answer="sorry"),
    "answered by the page for InternalServerError": Failure(
        answering(InternalServerError, "sorry", 500), "no stock", 500, answer="sorry"
    ),
    "answered by the page for HTTPException": Failure(
        answering(HTTPException, "sorry", 500), "no stock", 500, answer="sorry"
    ),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_the_error_of_a_request(app: Flask, failure: Failure) -> None:
    """The record has what was raised and where, whether a handler answered, and the status that left."""
    failure.put_on(app)
    record, response = only(app)
    error = error_of(record)
    assert (record.status, response.status_code) == (failure.status, failure.status)
    assert failure.answer in (None, response.text)
    assert (error.type, error.message) == (f"{__name__}.ShopError", failure.message)
    assert error.handled is (failure.answer is not None)
    assert error.place.startswith(PLACE)


def test_answers_are_no_errors(app: Flask) -> None:
    """``abort`` answers: nothing has failed; ``InternalServerError`` around an exception tells of that one."""
    app.add_url_rule("/<int:code>", view_func=abort, endpoint="abort")

    @app.get("/wrapped")
    def wrapped() -> Any:
        try:
            fail()
        except ShopError as error:
            raise InternalServerError(original_exception=error) from error

    for path, status in (("/404", 404), ("/503", 503), ("/none/here", 404)):
        record, _ = only(app, path)
        assert (record.status, record.error) == (status, None)
    record, _ = only(app, "/wrapped")
    assert (record.status, error_of(record).type, error_of(record).handled) == (500, f"{__name__}.ShopError", False)
    assert error_of(record).place.startswith(PLACE)


def test_no_error(app: Flask) -> None:
    """A request without an exception has none in its record."""
    app.add_url_rule("/", view_func=lambda: "ok", endpoint="ok")
    assert only(app)[0].error is None


@pytest.mark.parametrize(("path", "kind"), [("/handler", "ImATeapot"), ("/after", "Conflict")])
def test_an_answer_that_was_not_given(rig: Rig, path: str, kind: str) -> None:
    """What an error handler or an after_request function aborts with is answered with 500, and the record says why."""
    app = rig.app()
    app.testing = app.config["PROPAGATE_EXCEPTIONS"] = False
    app.register_error_handler(KeyError, lambda _: abort(418))

    @app.get("/handler")
    def handler() -> Any:
        raise KeyError

    @app.get("/after")
    def view() -> Any:
        return "ok"

    @app.after_request
    def refuse(response: Response) -> Response:
        return abort(409) if request.path == "/after" else response

    with capture(app) as records:
        assert app.test_client().get(path).status_code == 500
    (record,) = records
    assert (record.status, error_of(record).type) == (500, f"werkzeug.exceptions.{kind}")
    assert "in abort" in error_of(record).stack
    assert (rig.server().attributes or {})["http.response.status_code"] == 500


@pytest.mark.parametrize("function", ["teardown_request", "teardown_appcontext"])
def test_error_in_teardown(app: Flask, function: str) -> None:
    """What a teardown function raises fails the request as well, after its end, and is in its record."""
    app.add_url_rule("/", view_func=lambda: "ok", endpoint="ok")
    getattr(app, function)(lambda _error: fail("torn"))
    with capture(app) as records, pytest.raises(ShopError):
        app.test_client().get("/")
    (record,) = records
    assert (record.status, error_of(record).message) == (500, "torn")
    assert error_of(record).place.startswith(PLACE)


@pytest.mark.parametrize("context", [False, True])
def test_error_in_mid_body(rig: Rig, *, context: bool) -> None:
    """A body that fails while it is sent: the status is out already, the error is in the record."""
    app = rig.app(response_headers=())

    def pieces() -> Iterator[str]:
        yield "one"
        fail("mid-body")

    app.add_url_rule(
        "/", view_func=lambda: Response(stream_with_context(pieces()) if context else pieces()), endpoint="x"
    )
    record, _ = only(app)
    assert (record.status, error_of(record).message, error_of(record).handled) == (200, "mid-body", False)
    assert error_of(record).place.startswith(PLACE)


def test_error_of_an_error_handler(app: Flask) -> None:
    """A handler that raises: its own exception is the error, and the first one is in its stack."""
    app.add_url_rule("/", view_func=fail)
    app.register_error_handler(ShopError, lambda error: error.args[1])
    error = error_of(only(app)[0])
    assert (error.type, error.handled) == ("IndexError", False)
    assert "ShopError: no stock\n\nDuring handling of the above exception, another exception occurred:" in error.stack


def test_propagated(rig: Rig) -> None:
    """In tests, where Flask lets exceptions through, the record has them as in production."""
    app = rig.app()
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.add_url_rule("/", view_func=fail)
    with capture(app) as records, pytest.raises(ShopError):
        app.test_client().get("/")
    assert (error_of(records[0]).message, records[0].status) == ("no stock", 500)


def test_nested(rig: Rig) -> None:
    """An application inside an application: the error is in the record of the one that failed."""
    inner, outer = rig.plain("inner"), rig.plain("outer")
    for app in (inner, outer):
        rig.chest(app)
    inner.add_url_rule("/", view_func=fail)
    outer.add_url_rule("/", view_func=lambda: inner.test_client().get("/").text, endpoint="outer")
    with capture(inner) as records:
        record, _ = only(outer)
    assert error_of(records[0]).message == "no stock"
    assert (record.error, record.status) == (None, 200)


def test_threads_with_copied_contexts(rig: Rig) -> None:
    """What a thread with a copy of the request's context raises is not the request's."""
    app = rig.app()

    @app.get("/")
    def view() -> str:
        seen: list[BaseException] = []

        @copy_current_request_context
        def work() -> None:
            try:
                app.ensure_sync(fail)()
            except ShopError as error:
                seen.append(error)

        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()
        return str(len(seen))

    record, response = only(app)
    assert (record.error, response.text) == (None, "1")


def test_upstream_server_span(rig: Rig) -> None:
    """With upstream's server spans the record has error and status as well."""
    app = rig.plain()
    FlaskInstrumentor().instrument_app(app, **rig.providers)  # type: ignore[no-untyped-call]
    rig.chest(app)
    app.add_url_rule("/", view_func=fail)
    record, _ = only(app)
    assert (record.status, error_of(record).message) == (500, "no stock")


def test_message_is_masked_and_bounded(rig: Rig) -> None:
    """A message has at most as many characters as a value, no character that cannot be sent, and no password."""
    app = rig.app(value_limit_chars=60)
    text = "postgres://u:hunter2@db password=hunter3 \ud800" + "x" * 1_000_000
    app.add_url_rule("/", view_func=lambda: fail(text), endpoint="long")
    error = error_of(only(app)[0])
    assert len(error.message) == 60
    assert error.message.startswith("postgres://[REDACTED]@db password=[REDACTED] \ufffdx")
    assert "hunter" not in error.stack
    assert len(error.stack) < 20_000
    attributes = [dict(event.attributes or {}) for event in rig.server().events]
    assert [one["exception.message"] for one in attributes] == [error.message]
    assert [one["exception.stacktrace"] for one in attributes] == [error.stack]


def test_hostile_exceptions(rig: Rig) -> None:
    """An exception whose text cannot be had is recorded without one; a circle of causes ends."""

    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    class LastError(Exception):
        def __str__(self) -> str:
            raise SystemExit

    app = rig.app()

    @app.get("/silent")
    def silent() -> Any:
        raise SilentError

    @app.get("/last")
    def last() -> Any:
        raise LastError

    @app.get("/circle")
    def circle() -> Any:
        first, second = ShopError("1"), ShopError("2")
        first.__cause__, second.__cause__ = second, first
        raise first

    assert error_of(only(app, "/silent")[0]).message == "(without a text)"
    assert error_of(only(app, "/last")[0]).message == "(without a text)"
    assert error_of(only(app, "/circle")[0]).stack.count("ShopError: ") == 2


class EmptyError(Exception):
    """Has a length, as a collection of errors may, and something of the name that groups of exceptions have."""

    def __len__(self) -> int:
        return 0

    def exceptions(self) -> list[str]:
        return []


def test_a_cause_without_length_is_a_cause(rig: Rig) -> None:
    """The stack tells of every exception that led to the last, whatever their truth, and what they name their own."""
    app = rig.app()

    @app.get("/")
    def view() -> Any:
        raise ShopError("what came of it") from EmptyError("what began")

    stack = error_of(only(app)[0]).stack
    assert "EmptyError: what began\n\nThe above exception was the direct cause" in stack
    assert stack.endswith("ShopError: what came of it\n")


def test_a_text_of_another_class(rig: Rig) -> None:
    """An exception's text may be a string with code of its own, which is not run."""

    class Text(str):
        __slots__ = ()

        def __getitem__(self, key: Any) -> str:
            raise RuntimeError

        def __contains__(self, key: object) -> bool:
            raise RuntimeError

    class WordyError(Exception):
        def __str__(self) -> str:
            return Text("token=abc")

    app = rig.app()

    @app.get("/")
    def view() -> Any:
        raise WordyError

    assert error_of(only(app)[0]).message == "token=[REDACTED]"


def test_an_address_at_the_cut(rig: Rig) -> None:
    """Where a long text is cut in the stack, no half of a password is left."""
    app = rig.app()
    text = f"{'x' * 4060} http://user:{'hunter' * 20}@host/"

    @app.get("/")
    def view() -> Any:
        raise ShopError(text)

    assert "hunter" not in error_of(only(app)[0]).stack


def test_deep_stacks_keep_both_ends(rig: Rig) -> None:
    """Of a recursion without end the first and the last frames are kept."""
    app = rig.app()

    def deeper(depth: int) -> Any:
        return deeper(depth - 1) if depth else fail()

    app.add_url_rule("/", view_func=lambda: deeper(600), endpoint="deep")
    stack = error_of(only(app)[0]).stack
    assert len(stack) <= 16_384
    assert "more frames ...]" in stack
    assert "in wsgi_app" in stack
    assert "in fail" in stack


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (r'{"token": "ab\"cd", "n": 1}', '{"token": [REDACTED], "n": 1}'),
        ("password='ab''cd' and n=1", "password=[REDACTED] and n=1"),
        ("{'password': b'hunter2', 'n': 1}", "{'password': [REDACTED], 'n': 1}"),
        ("{'tokens': ['hunter2', ('b',)], 'n': 1}", "{'tokens': [REDACTED], 'n': 1}"),
        ("{'password': {'value': 'hunter2'}} n", "{'password': [REDACTED]} n"),
        ("Command '['dump', '--password=hunter2']' failed", "Command '['dump', '--password=[REDACTED]']' failed"),
        ("password=abc,hunter2&(3 n=1", "password=[REDACTED] n=1"),
        ("password=hunter2,user=bob", "password=[REDACTED],user=bob"),
        ("connect(password=hunter2, user=bob)", "connect(password=[REDACTED], user=bob)"),
        (r"{\"password\": \"hunter2\", \"n\": 1}", r"{\"password\": [REDACTED], \"n\": 1}"),
        ("Authorization: Token hunter2 n", "Authorization: [REDACTED] n"),
        ("authorization: bearer hunter2 n", "authorization: [REDACTED] n"),
        ('Authorization: Digest username="a", response="hunter2"', "Authorization: [REDACTED]"),
        ("postgresql://user:p@hunter2@host/db", "postgresql://[REDACTED]@host/db"),
        ("postgresql://user:p/hunter2@host/db", "postgresql://[REDACTED]@host/db"),
        ("http://host:8080/@user and https://host/@user", "http://host:8080/@user and https://host/@user"),
        (
            "403 for url: https://b.s3/x?AWSAccessKeyId=AKIA1&Signature=ab%2F&Expires=17&X-Amz-Signature=cd",
            "403 for url: https://b.s3/x?AWSAccessKeyId=[REDACTED]&Signature=[REDACTED]&Expires=17&X-Amz-Signature=[REDACTED]",
        ),
        (
            "400 for url: https://shop/callback?code=ab&state=1",
            "400 for url: https://shop/callback?code=[REDACTED]&state=1",
        ),
        ("exit code=3", "exit code=3"),
    ],
)
def test_secrets_in_texts_with_quotes_and_addresses(rig: Rig, text: str, kept: str) -> None:
    """Quotes inside of a secret do not end it; in addresses, signatures and codes are secrets as well."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: fail(text))
    error = error_of(only(app)[0])
    assert error.message == kept
    assert error.stack.endswith(f"ShopError: {kept}\n")


def test_parameters_of_a_failed_query_are_masked(rig: Rig) -> None:
    """SQLAlchemy quotes the values that were sent; the query and what the database says stay."""
    app = rig.app()
    engine = sqlalchemy.create_engine("sqlite://")
    query = sqlalchemy.text("INSERT INTO members (name, hash) VALUES (:name, :hash)")
    values = {"name": "Ann Smith", "hash": "pbkdf2"}  # not where the stack quotes the source

    @app.get("/")
    def join() -> Any:
        with engine.connect() as connection:
            connection.execute(query, values)

    (record, _) = only(app)
    engine.dispose()
    error = error_of(record)
    (line,) = record.logs
    for text in (error.message, error.stack, line.message):
        assert "no such table: members" in text
        assert "[SQL: INSERT INTO members (name, hash) VALUES (?, ?)]\n[parameters: [REDACTED]]\n" in text
        assert "Ann Smith" not in text
        assert "pbkdf2" not in text


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_groups_tell_of_their_members(rig: Rig) -> None:
    """The stack of a group of exceptions names what is in it."""
    app = rig.app()

    @app.get("/")
    def view() -> Any:
        raise ExceptionGroup("several", [ShopError("a"), ValueError("token=abc")])  # type: ignore[name-defined,unused-ignore]  # noqa: F821

    error = error_of(only(app)[0])
    assert error.type == "ExceptionGroup"
    assert "ShopError: a\n" in error.stack
    assert "ValueError: token=[REDACTED]\n" in error.stack


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_groups_tell_where_their_members_failed(rig: Rig) -> None:
    """The stack of a task group's failure has the frames, causes and members of each failed task."""
    app = rig.app()

    async def pay(amount: int) -> None:
        try:
            fail()
        except ShopError as error:
            inner = [KeyError("inmost")]
            raise ExceptionGroup(f"payment {amount}", inner) from error  # type: ignore[name-defined,unused-ignore]  # noqa: F821

    @app.get("/")
    async def view() -> Any:
        async with asyncio.TaskGroup() as tasks:  # type: ignore[attr-defined,unused-ignore]
            tasks.create_task(pay(1))
            tasks.create_task(pay(2))

    stack = error_of(only(app)[0]).stack
    for amount in (1, 2):
        of_member = stack.split(f"  +- {amount} of 2 -\n")[1].split("  +- 2 of 2 -\n")[0]
        assert ", in fail\n" in of_member
        assert ", in pay\n" in of_member
        assert "was the direct cause of the following exception" in of_member
        assert f"payment {amount} (1 sub-exception)\n" in of_member
        assert "  |   | KeyError: 'inmost'\n" in of_member


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups came with Python 3.11")
def test_stacks_of_large_groups_are_bounded(rig: Rig) -> None:
    """Groups in groups, and members that lead back to their group, are told up to a bound, and what is left is said."""
    app = rig.app()

    def grouped(depth: int) -> Any:
        members = [grouped(depth - 1) for _ in range(9)] if depth else [ShopError(str(n)) for n in range(9)]
        found = ExceptionGroup(f"depth {depth}", members)  # type: ignore[name-defined,unused-ignore]  # noqa: F821
        members[0].__cause__ = found
        return found

    @app.get("/")
    def view() -> Any:
        raise grouped(3)

    stack = error_of(only(app)[0]).stack
    assert stack.count("ShopError: ") + stack.count("ExceptionGroup: ") <= 16
    assert "[... 8 more members ...]" in stack


def test_place_in_a_template(rig: Rig) -> None:
    """An exception in what a template calls has its place in the code that was called; no place without own code."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: render_template_string("{{ fail() }}", fail=fail), endpoint="page")
    assert error_of(only(app)[0]).place.startswith(PLACE)
    foreign = Flask("json", instance_path=str(rig.folder / "json"))
    rig.chest(foreign)
    foreign.add_url_rule("/", view_func=fail)
    assert error_of(only(foreign)[0]).place == ""


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("/caf%C3%A9/a%20b?token=1", "/caf%C3%A9/a%20b"),
        ("/" + "x" * 300, "/" + "x" * 254),
        ("/" + "%C3%A9" * 100, "/" + "%C3%A9" * 42),
        ("/a%0d%0ab", "/a%0D%0Ab"),
        ("/reset/hunter2", "/reset/<token>"),
    ],
)
def test_path(app: Flask, asked: str, path: str) -> None:
    """The path as it was asked for: encoded, without the query, cut between characters; no secret arguments."""
    app.add_url_rule("/<path:any>", view_func=lambda any: "ok", endpoint="any")  # noqa: A006, ARG005
    app.add_url_rule("/reset/<token>", view_func=lambda token: "ok", endpoint="reset")  # noqa: ARG005
    assert only(app, asked)[0].path == path


@pytest.mark.parametrize(
    ("asked", "path", "status"),
    [
        ("/join/hunter2", "/join/<token>/", 308),  # the slash at the end is missing
        ("/act/hunter2", "/act/<token>", 405),
        ("/act/hunter2/now", "/act/<token>", 404),
        ("/hunter2", "/<token>/", 308),
        ("/other/hunter2", "/other/hunter2", 404),
    ],
)
def test_path_that_no_rule_takes(app: Flask, asked: str, path: str, status: int) -> None:
    """A path that begins like a rule with a secret argument is recorded as that rule."""
    app.add_url_rule("/join/<token>/", view_func=lambda token: "ok", endpoint="join")  # noqa: ARG005
    app.add_url_rule("/act/<token>", view_func=lambda token: "ok", endpoint="act", methods=["POST"])  # noqa: ARG005
    app.add_url_rule("/<token>/", view_func=lambda token: "ok", endpoint="any")  # noqa: ARG005
    record, _ = only(app, asked)
    assert (record.path, record.status) == (path, status)


def test_path_of_a_mounted_application(rig: Rig) -> None:
    """The root that a server mounts the application at belongs to the path."""
    app = rig.app()
    assert only(app, "/none", base_url="http://shop.example/mounted")[0].path == "/mounted/none"


def test_version(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The resource's version, else the setting's, else none; also where only the environment tells the resource."""
    resource = Resource({"service.version": "1.4"})
    assert only(rig.app())[0].version is None
    assert only(rig.app(version="2.0"))[0].version == "2.0"
    assert only(rig.app(version="2.0", tracer_provider=rig.provider(resource=resource)))[0].version == "1.4"
    monkeypatch.setenv("FLASK_CHEST_VERSION", "3.0")
    assert only(rig.app())[0].version == "3.0"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "a=b,service.version=4%2C1")
    app = rig.plain()
    FlaskChest(app, export=None)
    assert only(app)[0].version == "4,1"


@pytest.mark.slow
def test_processor_time(app: Flask) -> None:
    """The serving thread's work counts, its waiting does not."""

    @app.get("/")
    def view() -> str:
        time.sleep(0.2)
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        return "ok"

    record, _ = only(app)
    assert record.cpu_s is not None
    assert 0.05 <= record.cpu_s < 0.15
    assert record.duration_s > 0.24


def test_processor_time_of_another_thread(rig: Rig) -> None:
    """A body that another thread has ended tells no processor time: it would be another's."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: Response(iter("ab")), endpoint="x")
    with capture(app) as records:
        response = app.test_client().get("/")
        thread = threading.Thread(target=response.get_data)
        thread.start()
        thread.join()
        response.close()
    assert records[0].cpu_s is None


def test_processor_time_in_greenlets(run_python: Callable[..., str]) -> None:
    """Where greenlets share the thread there is no processor time of one request."""
    assert run_python(IN_GREENLETS).split() == ["None", "True"]


IN_GREENLETS = """
import gevent
from flask import Flask
from flask_chest_otel import FlaskChest
from flask_chest_otel.testing import capture
app = Flask("shop")
FlaskChest(app)
app.add_url_rule("/", view_func=lambda: "ok", endpoint="ok")
with capture(app) as records:
    gevent.spawn(app.test_client().get, "/").join()
    app.test_client().get("/")
print(records[0].cpu_s, records[1].cpu_s is not None)
"""


def test_first_byte(rig: Rig) -> None:
    """Until the response begins; of a body that is made while it is sent, until its first piece is there."""
    app = rig.app()

    def pieces() -> Iterator[str]:
        time.sleep(0.05)
        yield "one"
        time.sleep(0.1)
        yield "two"

    app.add_url_rule("/stream", view_func=lambda: Response(pieces()), endpoint="stream")

    @app.get("/plain")
    def plain_view() -> str:
        time.sleep(0.05)
        return "ok"

    stream, plain = only(app, "/stream")[0], only(app, "/plain")[0]
    assert stream.first_byte_s is not None
    assert 0.05 <= stream.first_byte_s < stream.duration_s - 0.09
    assert plain.first_byte_s is not None
    assert 0.05 <= plain.first_byte_s <= plain.duration_s


def test_no_first_byte(rig: Rig) -> None:
    """An exception that leaves the application is no response of the application's."""
    app = rig.app()
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.add_url_rule("/", view_func=fail)
    with capture(app) as records, pytest.raises(ShopError):
        app.test_client().get("/")
    assert records[0].first_byte_s is None


def test_nothing_is_kept_for_nobody(rig: Rig) -> None:
    """Where nobody wants records, no path is read, and no exception is told."""
    app = rig.app()
    seen: list[Any] = []

    @app.get("/")
    def view() -> Any:
        from flask_chest_otel._request.live import live_request  # noqa: PLC0415

        seen.append(live_request.get())
        return fail()

    app.test_client().get("/")
    assert (seen[0].path, seen[0].error, seen[0].cpu_s) == ("", None, None)


def test_variables_of_a_failed_request(app: Flask) -> None:
    """What was set before the exception is recorded beside it."""

    @app.get("/")
    def view() -> Any:
        g.plan = "pro"
        fail()

    record, _ = only(app)
    assert error_of(record).message == "no stock"


def test_frames_in_the_debugger(rig: Rig) -> None:
    """Werkzeug's debugger shows no frame of this package, whatever step of the request failed."""
    app = rig.app()
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.add_url_rule("/", view_func=fail)
    app.add_url_rule("/after", view_func=lambda: "ok", endpoint="after")
    app.add_url_rule("/stream", view_func=lambda: Response(fail(str(one)) for one in "ab"), endpoint="stream")
    app.after_request(lambda response: fail() if request.path == "/after" else response)
    client = DebuggedApplication(app)
    for path in ("/", "/after", "/stream"):
        page = "".join(piece.decode() for piece in run_wsgi_app(client, create_environ(path))[0])
        assert "ShopError: no stock" in page or "ShopError: a" in page
        assert f'in <code class="function">{fail.__name__}' in page
        assert "_lifecycle/attach.py&#34;" not in page
        assert "_server_span/" not in page
