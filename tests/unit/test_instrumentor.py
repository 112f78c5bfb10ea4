"""``FlaskChestInstrumentor``: put on every application, and taken off without a trace."""

from __future__ import annotations

import functools
import threading
import time
from typing import TYPE_CHECKING, Any

import flask
import flask.app
import pytest
from flask import Flask, g
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from flask_chest_otel import FlaskChest, FlaskChestInstrumentor, TrackedVar, _guard, trace_id_for
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Rig


def view() -> str:
    g.a = 1
    return "ok"


def on(rig: Rig, **options: Any) -> None:
    FlaskChestInstrumentor().instrument(**{**rig.providers, "tracked_vars": ["a"], **options})


def off() -> None:
    FlaskChestInstrumentor().uninstrument()


def app_of(rig: Rig, name: str = "shop", cls: type[Flask] = Flask) -> Flask:
    app = rig.plain(name, cls)
    app.add_url_rule("/", view_func=view)
    return app


def same(before: dict[str, Any], after: dict[str, Any]) -> bool:
    return before.keys() == after.keys() and all(before[name] is after[name] for name in before)


@pytest.mark.parametrize(("export", "kept"), [("auto", 0), ("store", 1)])
def test_a_store_by_name_only(tmp_path: Path, export: str, kept: int) -> None:
    """Without code, requests are kept in a store where it is asked for by name, and nowhere else."""
    app = Flask("shop", instance_path=str(tmp_path / "instance"))
    app.add_url_rule("/", view_func=view)
    FlaskChestInstrumentor().instrument(tracked_vars=["a"], export=export)
    assert app.test_client().get("/").text == "ok"
    deadline = time.monotonic() + 10
    while kept and time.monotonic() < deadline and not list(tmp_path.rglob("*.sqlite3")):
        time.sleep(0.05)
    off()
    assert len(list(tmp_path.rglob("*.sqlite3"))) == kept


def test_leaves_the_class_as_it_was(rig: Rig) -> None:
    """On and off again, twice: every entry of the class is the very object it was."""
    before = dict(vars(flask.app.Flask))
    for _ in range(2):
        on(rig)
        assert not same(before, dict(vars(flask.app.Flask)))
        app_of(rig).test_client().get("/")
        off()
        assert same(before, dict(vars(flask.app.Flask)))


def test_leaves_the_app_as_it_was(rig: Rig) -> None:
    """An application that was recorded is released: no state, no span, no shadow on the generator."""
    app = app_of(rig)
    extensions = dict(app.extensions)
    on(rig)
    app.test_client().get("/", headers={"X-Request-ID": "r-1"})
    assert len(rig.servers()) == 1
    off()
    assert app.extensions == extensions
    assert not any(app.before_request_funcs.values())
    assert not any(app.teardown_request_funcs.values())
    assert vars(rig.tracer_provider.id_generator) == {}
    assert app.test_client().get("/").text == "ok"
    assert len(rig.servers()) == 1


def test_on_off_on(rig: Rig) -> None:
    """Applications made before, between and after are recorded while it is on, and only then."""
    first = app_of(rig, "first")
    on(rig)
    with capture(first) as records:
        first.test_client().get("/")
        off()
        first.test_client().get("/")
    assert len(records) == 1
    between = app_of(rig, "between")
    on(rig, tracked_vars=["a", "b"])
    with capture(between) as records:
        between.test_client().get("/")
    assert dict(records[0].variables) == {"a": 1}
    assert len(rig.servers()) == 2


@pytest.mark.guard_on
def test_on_again_for_an_app_that_served(rig: Rig) -> None:
    """An application that has served is recorded again when it is switched on again."""
    app = app_of(rig)
    on(rig)
    app.test_client().get("/")
    off()
    on(rig)
    with capture(app) as records:
        assert app.test_client().get("/").text == "ok"
    assert dict(records[0].variables) == {"a": 1}
    assert len(rig.servers()) == 2


def test_early_import(rig: Rig) -> None:
    """An application made through an early ``from flask import Flask`` gets a server span and its variables."""
    app = app_of(rig)
    FlaskInstrumentor().instrument(**rig.providers)
    on(rig)
    app.test_client().get("/")
    assert rig.tracked() == {"a": 1}


@pytest.mark.parametrize("late", [True, False], ids=["instrumented late", "early"])
@pytest.mark.parametrize("around", ["application", "wsgi_app", "inside"])
def test_middleware(rig: Rig, around: str, *, late: bool) -> None:
    """One span for each request, whichever way middleware was put around the application, or into it."""
    app, other = app_of(rig), app_of(rig, "other")
    if not late:
        on(rig)
    served: Any = app
    if around == "inside":
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/b": other})  # type: ignore[method-assign]
    if late:
        on(rig)
    if around == "application":
        served = DispatcherMiddleware(app, {"/b": other})
    elif around == "wsgi_app":
        served = DispatcherMiddleware(app.wsgi_app, {"/b": other.wsgi_app})
    for number, path in enumerate(("/", "/b/"), start=1):
        assert Client(served).get(path).text == "ok"
        assert len(rig.servers()) == number
        assert rig.tracked(rig.servers()[-1]) == {"a": 1}
    counts = {point.attributes["http.route"]: point.count for point in rig.points("http.server.request.duration")}
    assert counts == {"/": 1, "/b/": 1}


@pytest.mark.parametrize("chest_first", [True, False])
def test_with_upstream_in_any_order(rig: Rig, chest_first: bool) -> None:
    """Before or after the Flask instrumentation: one server span, one record."""
    both: list[Callable[[], None]] = [lambda: on(rig), lambda: FlaskInstrumentor().instrument(**rig.providers)]
    for instrument in both if chest_first else reversed(both):
        instrument()
    app = app_of(rig, cls=flask.Flask)
    with capture(app) as records:
        app.test_client().get("/")
    assert len(records) == 1
    assert rig.tracked() == {"a": 1}


def test_flask_instrumentation_disabled(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who switched the Flask instrumentation off gets metrics, and no span through the back door."""
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "requests, flask")
    on(rig)
    app_of(rig).test_client().get("/")
    assert rig.spans == ()
    assert rig.points("flask.g.a")[0].sum == 1


@pytest.mark.parametrize("extension_first", [True, False])
def test_together_with_the_extension(rig: Rig, extension_first: bool) -> None:
    """Recorded once; the extension's settings govern its application, the instrumentor's all others."""
    mine, other = app_of(rig, "mine"), app_of(rig, "other")
    if not extension_first:
        on(rig, tracked_vars=[TrackedVar("a", attribute="from.instrumentor")])
    rig.chest(mine, tracked_vars=[TrackedVar("a", attribute="from.extension")])
    if extension_first:
        on(rig, tracked_vars=[TrackedVar("a", attribute="from.instrumentor")])
    with capture(mine) as of_mine, capture(other) as of_other:
        mine.test_client().get("/")
        other.test_client().get("/")
    assert (len(of_mine), len(of_other)) == (1, 1)
    one, two = rig.servers()
    assert "from.extension" in (one.attributes or {})
    assert "from.instrumentor" not in (one.attributes or {})
    assert "from.instrumentor" in (two.attributes or {})
    off()
    with capture(mine) as of_mine:
        mine.test_client().get("/")
    assert len(of_mine) == 1


class Custom(Flask):
    """Overrides what is wrapped, and calls the base."""

    def full_dispatch_request(self, *args: Any, **kwargs: Any) -> Any:
        return super().full_dispatch_request(*args, **kwargs)

    def do_teardown_request(self, *args: Any, **kwargs: Any) -> Any:
        return super().do_teardown_request(*args, **kwargs)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return super().__call__(environ, start_response)


def test_subclass(rig: Rig) -> None:
    """A subclass with methods of its own is recorded once and keeps its methods."""
    before = dict(vars(Custom))
    on(rig)
    app = app_of(rig, cls=Custom)
    with capture(app) as records:
        app.test_client().get("/")
    assert len(records) == 1
    assert rig.tracked() == {"a": 1}
    off()
    assert same(before, dict(vars(Custom)))


def test_wrapped_by_others_meanwhile(rig: Rig) -> None:
    """What others put on top stays in place and keeps working when we go; nothing is recorded any more."""
    on(rig)
    ours, calls = flask.app.Flask.full_dispatch_request, []

    @functools.wraps(ours)
    def theirs(self: Flask, *args: Any, **kwargs: Any) -> Any:
        calls.append(True)
        return ours(self, *args, **kwargs)

    flask.app.Flask.full_dispatch_request = theirs  # type: ignore[method-assign]  # as other instrumentations do
    try:
        app = app_of(rig)
        with capture(app) as records:
            app.test_client().get("/")
            off()
            assert flask.app.Flask.__dict__["full_dispatch_request"] is theirs
            assert app.test_client().get("/").text == "ok"
        assert (len(records), len(calls)) == (1, 2)
    finally:
        original: Any = ours
        flask.app.Flask.full_dispatch_request = original.__wrapped__  # type: ignore[method-assign]


def test_disabled(rig: Rig) -> None:
    """``enabled=False`` touches nothing."""
    before = dict(vars(flask.app.Flask))
    on(rig, enabled=False)
    assert same(before, dict(vars(flask.app.Flask)))
    app_of(rig).test_client().get("/")
    assert rig.spans == ()


def test_cold_start_from_many_threads(rig: Rig) -> None:
    """First requests that come all at once each get one server span."""
    on(rig)
    for round_ in range(10):
        rig.exporter.clear()
        app = app_of(rig, f"cold{round_}")
        start = threading.Barrier(8)

        def work(app: Flask = app, start: threading.Barrier = start) -> None:
            start.wait()
            app.test_client().get("/")

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(rig.servers()) == 8
        assert [rig.tracked(span) for span in rig.servers()] == [{"a": 1}] * 8


@pytest.mark.guard_on
def test_never_aborts_the_process(monkeypatch: pytest.MonkeyPatch, rig: Rig) -> None:
    """Whatever fails while instrumenting is counted, not raised: it would abort all instrumentations."""

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr("flask_chest_otel.instrumentor.settle", failing)
    on(rig)
    off()
    assert _guard.counts["instrument", "RuntimeError"] == 1


def test_declarative_configuration_accepts_settings() -> None:
    """The dataclass that declarative configuration checks options against has every setting."""
    made = FlaskChestInstrumentor.configuration(tracked_vars="a", list_limit=3)
    assert (made.tracked_vars, made.list_limit, made.export) == ("a", 3, None)


def test_dependencies() -> None:
    """Flask from 2.2, without a ceiling."""
    assert list(FlaskChestInstrumentor().instrumentation_dependencies()) == ["flask >= 2.2"]


@pytest.mark.parametrize("whole", [True, False], ids=["uninstrument", "uninstrument_app"])
@pytest.mark.parametrize("theirs", [True, False], ids=["theirs", "ours"])
def test_what_was_brought_is_taken_off(rig: Rig, *, whole: bool, theirs: bool) -> None:
    """Upstream's instrumentation goes if we brought it, and stays if the application had it; the ids are free again."""
    app = rig.plain()
    app.add_url_rule("/", view_func=lambda: "ok")
    if theirs:
        FlaskInstrumentor().instrument_app(app, **rig.providers)  # type: ignore[no-untyped-call]
    if whole:
        FlaskChestInstrumentor().instrument(server_span="upstream", **rig.providers)
    else:
        FlaskChestInstrumentor().instrument_app(app, server_span="upstream", **rig.providers)
    app.test_client().get("/", headers={"X-Request-ID": "r-1"}).get_data()
    before = len(rig.servers())
    if whole:
        FlaskChestInstrumentor().uninstrument()
    else:
        FlaskChestInstrumentor().uninstrument_app(app)
    app.test_client().get("/", headers={"X-Request-ID": "r-2"}).get_data()
    assert len(rig.servers()) - before == int(theirs)
    assert not {"generate_trace_id", "is_trace_id_random"} & set(vars(rig.tracer_provider.id_generator))
    if theirs:
        FlaskInstrumentor().uninstrument_app(app)  # type: ignore[no-untyped-call]


def test_before_the_first_request(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What asks for an application's settings has them before its first request, and no more when it is off."""
    monkeypatch.setenv("FLASK_CHEST_REQUEST_ID_SECRET", "s3cret")
    app = app_of(rig)
    without, keyed = trace_id_for("r-1"), trace_id_for("r-1", secret="s3cret")  # noqa: S106 - the point
    assert without != keyed
    on(rig)
    with app.app_context():
        assert trace_id_for("r-1") == keyed
    assert trace_id_for("r-1") == without
    with capture(app) as records:
        app.test_client().get("/", headers={"X-Request-ID": "r-1"})
    assert records[0].trace_id == keyed
    off()
    with app.app_context():
        assert trace_id_for("r-1") == without
    assert app.extensions == {}


def test_a_metric_before_the_first_request(rig: Rig) -> None:
    """A command of an application without code of its own can add a metric."""
    app = app_of(rig)
    on(rig)
    with app.app_context():
        FlaskChest().add_metric("Jobs", 3)
    assert [point.sum for point in rig.points("jobs")] == [3]


def test_disabled_settings_are_not_asked(rig: Rig) -> None:
    """With ``enabled=False`` nothing is known of any application."""
    app = app_of(rig)
    on(rig, enabled=False, request_id_secret="s3cret")  # noqa: S106 - the point
    with app.app_context():
        assert trace_id_for("r-1") == trace_id_for("r-1", secret="")
    assert app.extensions == {}
