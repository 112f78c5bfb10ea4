"""``FlaskChest``: put on once, on any number of applications, keeping none of them."""

from __future__ import annotations

import gc
import itertools
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from flask import Blueprint, Flask, g
from flask.views import View
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from flask_chest_otel import (
    ChestConfigError,
    ChestError,
    ChestSetupError,
    ChestValueError,
    FlaskChest,
    FlaskChestInstrumentor,
    TrackedVar,
    UnknownChestError,
    _guard,
    flask_chest,
)
from flask_chest_otel.testing import RequestRecord, capture

if TYPE_CHECKING:
    from tests.conftest import Rig


def view() -> str:
    g.a = 1
    return "ok"


def test_init_app_for_several(rig: Rig) -> None:
    """One extension serves several applications, each with the settings of its own ``app.config``."""
    chest = FlaskChest(**rig.providers)
    one, two = rig.plain("one"), rig.plain("two")
    one.config["FLASK_CHEST_TRACKED_VARS"] = ["a"]
    for app in (one, two):
        app.add_url_rule("/", view_func=view)
        chest.init_app(app)
    with capture(one) as of_one, capture(two) as of_two:
        one.test_client().get("/")
        two.test_client().get("/")
    assert (dict(of_one[0].variables), dict(of_two[0].variables)) == ({"a": 1}, {})
    assert chest.force_flush()


def test_second_extension(rig: Rig) -> None:
    """A second extension on one application raises and leaves the first one working, once."""
    app = rig.app(tracked_vars=["a"])
    app.add_url_rule("/", view_func=view)
    with pytest.raises(ChestSetupError, match="'shop' has a FlaskChest already") as caught:
        rig.chest(app)
    assert isinstance(caught.value, RuntimeError)
    assert "init_app" in str(caught.value)
    with capture(app) as records:
        app.test_client().get("/")
    assert len(records) == 1
    assert len(rig.servers()) == 1


def test_nothing_keeps_the_app(rig: Rig) -> None:
    """Applications go when their users let go of them, after requests too."""

    def made() -> tuple[weakref.ref[Flask], FlaskChest]:
        app = rig.plain()
        chest = rig.chest(app, tracked_vars=["a"])
        app.add_url_rule("/", view_func=view)
        app.test_client().get("/")
        return weakref.ref(app), chest

    gone, _chest = made()
    gc.collect()
    assert gone() is None


def test_after_the_first_request(rig: Rig) -> None:
    """Too late is Flask's own complaint, and leaves the application as it was."""
    app = rig.plain()
    app.add_url_rule("/", view_func=view)
    app.test_client().get("/")
    before = dict(vars(app))
    with pytest.raises(AssertionError):
        rig.chest(app, server_span="upstream")
    changed = {name for name, value in vars(app).items() if before.get(name) is not value}
    assert changed <= {"_is_instrumented_by_opentelemetry", "_original_wsgi_app", "_before_request"}
    assert app.test_client().get("/").text == "ok"


def test_disabled(rig: Rig) -> None:
    """``enabled=False`` does nothing at all, and a second extension is still a mistake."""
    app = rig.plain()
    before = dict(vars(app))
    rig.chest(app, enabled=False, tracked_vars=["a"])
    assert dict(vars(app)) == before
    app.add_url_rule("/", view_func=view)
    with capture(app) as records:
        response = app.test_client().get("/")
    assert (records, rig.spans) == ([], ())
    assert "X-Request-ID" not in response.headers


class Direct:
    """A direct chest."""

    def __init__(self, name: str = "audit") -> None:
        self.name = name
        self.records: list[RequestRecord] = []

    def put(self, record: RequestRecord) -> None:
        self.records.append(record)

    def flush(self, timeout_s: float) -> bool:
        return True

    def close(self, timeout_s: float) -> bool:
        return True


def test_unknown_chest_before_init_app(rig: Rig) -> None:
    """A route that is there already is checked by ``init_app``, which leaves nothing behind when it raises."""
    app = rig.plain()
    app.add_url_rule("/", view_func=flask_chest(chests=["influxbd"])(view_copy()))
    before = dict(vars(app))
    with pytest.raises(UnknownChestError) as caught:
        rig.chest(app, chests=["influxdb", Direct()])
    assert caught.value.known == ("audit", "influxdb")
    assert "audit, influxdb" in str(caught.value)
    assert "did you mean 'influxdb'?" in str(caught.value)
    assert isinstance(caught.value, (LookupError, ChestConfigError))
    assert dict(vars(app)) == before


def view_copy() -> Any:
    def copy() -> str:
        return view()

    return copy


def test_unknown_chest_after_init_app(rig: Rig) -> None:
    """A route that comes later is checked when it is registered, directly and through a blueprint."""
    app = rig.app(chests=["influxdb"])
    marked = flask_chest(chests=["nowhere"])(view_copy())
    named = r"on the route 'copy', tests\.unit\.test_extension\.view_copy\.<locals>\.copy\)"
    with pytest.raises(UnknownChestError, match=f"influxdb.*{named}"):
        app.add_url_rule("/", view_func=marked)
    with pytest.raises(UnknownChestError, match="on the route 'other'"):
        app.add_url_rule("/", "other", marked)
    with pytest.raises(UnknownChestError):
        app.route("/x")(marked)
    blueprint = Blueprint("b", __name__)
    blueprint.add_url_rule("/", view_func=marked)
    with pytest.raises(UnknownChestError, match=r"on the route 'b\.copy'"):
        app.register_blueprint(blueprint)
    with pytest.raises(UnknownChestError, match=r"on the route 'cls', tests\.unit\.test_extension\.Marked\)"):
        app.add_url_rule("/", view_func=flask_chest(chests=["nowhere"])(Marked).as_view("cls"))
    app.add_url_rule("/known", view_func=flask_chest(chests=["influxdb"])(view_copy()))


class Marked(View):
    """A view whose class is marked."""


@pytest.mark.parametrize("door", ["extension", "instrumentor"])
def test_unknown_chest_that_nobody_refused(rig: Rig, caplog: pytest.LogCaptureFixture, door: str) -> None:
    """Marks above ``@app.route`` and views of ``@app.endpoint`` are named in the log with the first request of any."""
    if door == "extension":
        app = rig.app(chests=["influxdb"])
    else:
        FlaskChestInstrumentor().instrument(chests=["influxdb"], **rig.providers)
        app = rig.plain()
    flask_chest(chests=["influxbd"])(app.route("/above")(view_copy()))
    app.add_url_rule("/endpoint", endpoint="by-endpoint")
    app.endpoint("by-endpoint")(flask_chest(chests=["elsewhere"])(view_copy()))
    app.add_url_rule("/", "plain", view_copy())
    for path in ("/", "/above", "/endpoint"):
        assert app.test_client().get(path).text == "ok"
    above, by_endpoint = sorted(caplog.messages, reverse=True)
    assert "chests='influxbd'" in above
    assert "did you mean 'influxdb'?) (on the route 'copy', tests.unit" in above
    assert "chests='elsewhere'" in by_endpoint
    assert "(on the route 'by-endpoint', tests.unit" in by_endpoint


@pytest.mark.parametrize(("given", "named"), [("splunk", "signalfx"), ("signalfx", "splunk")])
def test_two_names_of_one_target(rig: Rig, given: str, named: str) -> None:
    """The collector's target for Splunk answers to SignalFx, and the error about another name lists both."""
    app = rig.app(chests=[given, "influxdb"])
    app.add_url_rule("/", view_func=flask_chest(chests=[named])(view_copy()))
    with pytest.raises(UnknownChestError, match=f"influxdb, signalfx, splunk .did you mean '{named}'") as caught:
        app.add_url_rule("/x", view_func=flask_chest(chests=[named[:-1]])(view_copy()))
    assert caught.value.known == ("influxdb", "signalfx", "splunk")


def test_a_direct_chest_has_one_name(rig: Rig) -> None:
    """Only the collector's target has two: a chest of the application's own is called as it calls itself."""
    app = rig.app(chests=[Direct("signalfx")])
    with pytest.raises(UnknownChestError):
        app.add_url_rule("/", view_func=flask_chest(chests=["splunk"])(view_copy()))


def test_any_name_without_chests(rig: Rig) -> None:
    """Without ``chests=`` on the extension, names are collector targets and unchecked."""
    app = rig.app()
    app.add_url_rule("/", view_func=flask_chest(chests=["anything"])(view_copy()))
    assert app.test_client().get("/").text == "ok"


def test_direct_chests(rig: Rig) -> None:
    """A direct chest gets every record, but for routes that name others."""
    chest = Direct()
    app = rig.app(chests=[chest, "influxdb"], tracked_vars=["a"])
    for path, chests in (("/all", None), ("/audit", ["audit"]), ("/other", ["influxdb"]), ("/none", [])):
        app.add_url_rule(path, path, flask_chest(chests=chests)(view_copy()))
    for path in ("/all", "/audit", "/other", "/none"):
        app.test_client().get(path)
    assert [record.route for record in chest.records] == ["/all", "/audit"]


CONTRADICTIONS = [
    ([TrackedVar("a", metric_name="m"), TrackedVar("b", metric_name="M")], "another name: 'm' is a metric of 'a'"),
    ([TrackedVar("a", metric_name="m"), TrackedVar("b", metric_name="m")], "another name: 'm' is a metric of 'a'"),
    ([TrackedVar("b", metric_name="flask.g.a"), "a"], "another name: 'flask.g.a' is a metric of 'b'"),
    (["a", "A"], "another name: 'flask.g.a' is a metric of 'a'"),
    ([TrackedVar("a", attribute="x"), TrackedVar("b", attribute="x", metric=None)], "'a' has this one"),
]


@pytest.mark.parametrize(("tracked", "words"), CONTRADICTIONS)
def test_contradictions_at_set_up(rig: Rig, tracked: list[Any], words: str) -> None:
    """Two variables under one metric's name, whatever its case, or under one attribute are refused when they meet."""
    with pytest.raises(ChestConfigError) as caught:
        rig.app(tracked_vars=tracked)
    assert words in str(caught.value)


def test_a_name_that_no_metric_takes(rig: Rig) -> None:
    """Without a prefix, a variable may have no legal metric name."""
    with pytest.raises(ChestConfigError, match="metric_name"):
        rig.app(attribute_prefix="", tracked_vars=["_private"])


@pytest.mark.parametrize(
    ("of_the_app", "of_the_route", "words"),
    [
        (TrackedVar("a", metric="counter"), TrackedVar("b", metric_name="flask.g.a"), "is a metric of 'a' already"),
        (TrackedVar("a", metric="counter"), TrackedVar("a", unit="s"), "already a metric with"),
    ],
)
def test_contradiction_with_a_later_route(
    rig: Rig, of_the_app: TrackedVar, of_the_route: TrackedVar, words: str
) -> None:
    """A route's variable that contradicts the application's is refused when the route is registered, and named."""
    app = rig.app(tracked_vars=[of_the_app])
    with pytest.raises(ChestConfigError, match=f"{words}.*on the route 'copy'"):
        app.add_url_rule("/", view_func=flask_chest(of_the_route)(view_copy()))


def tracked_metrics(rig: Rig) -> set[str]:
    # Outboxes of other tests report until they are collected.
    return {name for name in rig.metric_names() if not name.startswith(("http.server.", "flask_chest."))}


DEFINED = TrackedVar("a", metric="counter", unit="{EUR}", attribute="shop.a")


@pytest.mark.parametrize("places", list(itertools.permutations(["app", "/bare", "/defined", "/all"])), ids=str)
def test_one_definition_is_enough(rig: Rig, places: tuple[str, ...]) -> None:
    """A bare name, or ``*``, takes the one definition that the application gives, whichever is met first."""
    app = rig.plain()
    tracked: dict[str, Any] = {"/bare": "a", "/defined": DEFINED, "/all": "*"}
    for place in places:
        if place == "app":
            rig.chest(app)
        else:
            app.add_url_rule(place, place, flask_chest(tracked[place])(view_copy()))
    for path in tracked:
        app.test_client().get(path)
    assert tracked_metrics(rig) == {"shop.a"}
    assert sorted((point.attributes["http.route"], point.value) for point in rig.points("shop.a")) == [
        (path, 1) for path in sorted(tracked)
    ]
    assert all((span.attributes or {}).get("shop.a") == 1 for span in rig.servers())


def test_a_name_that_is_not_ascii(rig: Rig) -> None:
    """With an attribute, as the message for a name without one advises, it is tracked like any other."""
    app = rig.app(tracked_vars=[TrackedVar("größe", attribute="size")])

    @app.get("/")
    @flask_chest(TrackedVar("höhe", attribute="height"))
    def view() -> str:
        g.größe, g.höhe = 1, 2
        return "ok"

    app.test_client().get("/")
    assert rig.tracked(prefix="") | {"size": 1, "height": 2} == rig.tracked(prefix="")
    assert tracked_metrics(rig) == {"size", "height"}


def test_the_application_s_definition_is_enough(rig: Rig) -> None:
    """A route that names a variable of the application's again says nothing new of it."""
    app = rig.app(tracked_vars=[TrackedVar("a", redact="hash")])
    app.add_url_rule("/", view_func=flask_chest("a")(view_copy()))
    app.test_client().get("/")
    assert rig.tracked()["a"] != 1
    assert tracked_metrics(rig) == set()


def test_two_definitions_leave_a_bare_name_alone(rig: Rig) -> None:
    """Which of two is meant nobody knows: the bare name keeps to the defaults."""
    app = rig.app()
    for name in ("x", "y"):
        app.add_url_rule(f"/{name}", name, flask_chest(TrackedVar("a", attribute=name))(view_copy()))
    app.add_url_rule("/", "bare", flask_chest("a")(view_copy()))
    app.test_client().get("/")
    assert tracked_metrics(rig) == {"flask.g.a"}


@pytest.mark.guard_on
def test_contradiction_that_nobody_refused(rig: Rig) -> None:
    """Where nothing can be raised (a mark above the route), the attribute stays and the metric is counted as lost."""
    app = rig.app(tracked_vars=[TrackedVar("a", metric="counter")])
    marked = app.route("/")(view_copy())
    flask_chest(TrackedVar("a", unit="s"))(marked)
    with capture(app) as records:
        app.test_client().get("/")
    assert dict(records[0].variables) == {"a": 1}
    assert records[0].metrics == ()
    assert sum(_guard.counts.values()) == 1


def test_same_definition_on_many_routes(rig: Rig) -> None:
    """Equal variables on several routes share one instrument."""
    app = rig.app()
    for path in ("/x", "/y"):
        app.add_url_rule(path, path, flask_chest(TrackedVar("a", metric="counter"))(view_copy()))
    for path in ("/x", "/y"):
        app.test_client().get(path)
    points = rig.points("flask.g.a")
    assert sorted(point.attributes["http.route"] for point in points) == ["/x", "/y"]


def test_two_apps_on_one_meter(rig: Rig) -> None:
    """Two applications with one meter provider add up in one metric."""
    for name in ("one", "two"):
        app = rig.plain(name)
        rig.chest(app, tracked_vars=[TrackedVar("a", metric="counter")])
        app.add_url_rule("/", view_func=view_copy())
        app.test_client().get("/")
    (point,) = rig.points("flask.g.a")
    assert point.value == 2


@pytest.mark.parametrize("server_span", ["auto", "upstream"])
def test_brings_the_server_span(rig: Rig, server_span: str) -> None:
    """Where nobody has instrumented the application, the extension does."""
    app = rig.app(server_span=server_span)
    app.add_url_rule("/", view_func=view_copy())
    app.test_client().get("/")
    assert rig.server().name == "GET /"


def test_instrumented_before(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """An application with upstream's instrumentation keeps its own, without a warning."""
    app = rig.plain()
    FlaskInstrumentor().instrument_app(app, **rig.providers)  # type: ignore[no-untyped-call]
    rig.chest(app, tracked_vars=["a"])
    app.add_url_rule("/", view_func=view_copy())
    app.test_client().get("/")
    assert rig.tracked() == {"a": 1}
    assert caplog.messages == []


def test_made_while_upstream_is_on(rig: Rig) -> None:
    """An application made from upstream's ``flask.Flask`` gets one server span."""
    import flask  # noqa: PLC0415 - its name is what upstream replaces

    FlaskInstrumentor().instrument(**rig.providers)
    app = rig.plain(cls=flask.Flask)
    rig.chest(app, tracked_vars=["a"])
    app.add_url_rule("/", view_func=view_copy())
    app.test_client().get("/")
    assert rig.tracked() == {"a": 1}


class Odd(Flask):
    """An application class with methods of its own around the wrapped ones."""

    seen: list[str]

    def full_dispatch_request(self, *args: Any, **kwargs: Any) -> Any:
        self.seen = ["full"]
        return super().full_dispatch_request(*args, **kwargs)

    def dispatch_request(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append("view")
        return super().dispatch_request(*args, **kwargs)

    def process_response(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append("response")
        return super().process_response(*args, **kwargs)

    def do_teardown_request(self, *args: Any, **kwargs: Any) -> Any:
        self.seen.append("teardown")
        return super().do_teardown_request(*args, **kwargs)


def test_subclass_with_its_own_methods(rig: Rig) -> None:
    """A subclass's methods all run, and the request is recorded once."""
    app = rig.plain(cls=Odd)
    rig.chest(app, tracked_vars=["a"])
    app.add_url_rule("/", view_func=view_copy())
    with capture(app) as records:
        app.test_client().get("/")
    assert isinstance(app, Odd)
    assert app.seen == ["full", "view", "response", "teardown"]
    assert [dict(record.variables) for record in records] == [{"a": 1}]


def test_method_replaced_on_the_instance(rig: Rig) -> None:
    """A plain callable that somebody put on the application keeps being called as they meant it."""
    app = rig.plain()
    original, calls = app.full_dispatch_request, []

    def theirs() -> Any:
        calls.append(True)
        return original()

    app.full_dispatch_request = theirs  # type: ignore[method-assign]  # as profilers do
    rig.chest(app, tracked_vars=["a"])
    app.add_url_rule("/", view_func=view_copy())
    with capture(app) as records:
        assert app.test_client().get("/").text == "ok"
    assert (len(calls), len(records)) == (1, 1)


def test_error_tree() -> None:
    """Every error is a ChestError and the built-in that fits; each message says which, what and what instead."""
    unknown = UnknownChestError("x", ["b", "a"])
    assert str(unknown) == "chests='x' cannot be used: give a chest that the extension was given with chests=: a, b"
    assert issubclass(UnknownChestError, (ChestConfigError, LookupError))
    assert issubclass(ChestConfigError, ValueError)
    assert issubclass(ChestSetupError, RuntimeError)
    config = ChestConfigError("list_limit", 0, "a whole number from 1")
    assert (config.setting, config.value, config.allowed) == ("list_limit", 0, "a whole number from 1")
    assert str(config) == "list_limit=0 cannot be used: give a whole number from 1"
    value = ChestValueError("total", "NaN")
    assert (value.name, value.reason, str(value)) == ("total", "NaN", "g.total cannot be recorded: NaN")
    for error in (unknown, config, value):
        assert isinstance(error, ChestError)


def test_error_about_an_evil_value() -> None:
    """A value whose repr raises does not hide the message; a huge one does not fill the log."""

    class Evil:
        def __repr__(self) -> str:
            raise RuntimeError

    assert "give x" in str(ChestConfigError("a", Evil(), "x"))
    assert len(str(ChestConfigError("a", "x" * 100_000, "x"))) < 1000


def test_capture_needs_a_chest(rig: Rig) -> None:
    """The test kit says what to do when the application has no chest."""
    with pytest.raises(ChestSetupError, match=r"call FlaskChest\(app\)"), capture(rig.plain()):
        pass


def test_capture_ends(rig: Rig) -> None:
    """After the block nothing is collected; captures may be nested."""
    app = rig.app(tracked_vars=["a"])
    app.add_url_rule("/", view_func=view_copy())
    with capture(app) as outer:
        with capture(app) as inner:
            app.test_client().get("/")
        app.test_client().get("/")
    app.test_client().get("/")
    assert (len(outer), len(inner)) == (2, 1)


@pytest.mark.guard_on
def test_a_chest_that_raises_takes_nothing_from_the_others(rig: Rig) -> None:
    """Each chest for itself: one of the application's own may be broken."""

    class Chest:
        def __init__(self, name: str, *, broken: bool) -> None:
            self.name, self.broken, self.got = name, broken, 0

        def put(self, _record: object) -> None:
            if self.broken:
                raise RuntimeError
            self.got += 1

        def flush(self, _timeout_s: float) -> bool:
            return True

        def close(self, _timeout_s: float) -> bool:
            return True

    broken, good = Chest("broken", broken=True), Chest("good", broken=False)
    app = rig.app(chests=[broken, good])
    app.add_url_rule("/", view_func=lambda: "ok")
    for _ in range(2):
        app.test_client().get("/").get_data()
    assert good.got == 2
    assert _guard.counts == {("chest", "RuntimeError"): 2}


def test_a_redaction_without_a_hash(rig: Rig) -> None:
    """Any callable redacts, also one that no dictionary takes as a key."""

    class Redaction:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, value: str) -> str:
            return value[:1]

    app = rig.app(tracked_vars=[TrackedVar("name", redact=Redaction())])

    @app.route("/")
    def view() -> str:
        g.name = "text"
        return "ok"

    app.test_client().get("/").get_data()
    assert rig.tracked() == {"name": "t"}
