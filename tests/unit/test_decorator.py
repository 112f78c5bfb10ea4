"""``@flask_chest``: every spelling, every kind of view, always the same object."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from flask import Blueprint, Flask, g, request
from flask.views import MethodView, View

from flask_chest_otel import ChestConfigError, TrackedVar, flask_chest
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Rig


@pytest.fixture
def app(rig: Rig) -> Flask:
    return rig.app()


def seen(app: Flask, path: str = "/", method: str = "GET") -> dict[str, Any]:
    """Variables of one request, which has to succeed."""
    with capture(app) as records:
        response = app.test_client().open(path, method=method)
        response.close()
    assert response.status_code == 200, response.text
    (record,) = records
    return dict(record.variables)


def set_all() -> str:
    g.a, g.b, g.c = "1", "2", "3"
    return "ok"


SPELLINGS: dict[str, Callable[[], Any]] = {
    "names": lambda: flask_chest("a", "b"),
    "list": lambda: flask_chest(["a", "b"]),
    "tuple": lambda: flask_chest(("a", "b")),
    "generator": lambda: flask_chest(name for name in "ab"),
    "keyword list": lambda: flask_chest(tracked_vars=["a", "b"]),
    "keyword dict": lambda: flask_chest(tracked_vars={"GET": ["a", "b"], "POST": ["c"]}),
    "dict": lambda: flask_chest({"get": ["a", "b"]}),
    "mixed": lambda: flask_chest("a", TrackedVar("b")),
    "text with commas": lambda: flask_chest(tracked_vars="a, b"),
    "stacked": lambda: lambda view: flask_chest("a")(flask_chest("b")(view)),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings_mean_the_same(app: Flask, spelling: str) -> None:
    """Each way to name two variables records these two and no other."""

    def view() -> str:
        return set_all()

    decorated = SPELLINGS[spelling]()(view)
    assert decorated is view
    app.add_url_rule("/", view_func=decorated)
    assert seen(app) == {"a": "1", "b": "2"}


def test_bare_adds_nothing(rig: Rig) -> None:
    """A bare decorator returns the function and leaves the application's variables."""
    app = rig.app(tracked_vars=["c"])

    def view() -> str:
        return set_all()

    assert flask_chest(view) is view
    app.add_url_rule("/", view_func=view)
    assert seen(app) == {"c": "3"}


def test_empty_call(rig: Rig) -> None:
    """``@flask_chest()`` is the bare decorator."""
    app = rig.app(tracked_vars=["c"])
    app.add_url_rule("/", view_func=flask_chest()(set_all_view()))
    assert seen(app) == {"c": "3"}


def set_all_view() -> Callable[[], str]:
    def view() -> str:
        return set_all()

    return view


def test_one_variable_object(app: Flask) -> None:
    """A TrackedVar alone is a variable, not a view, although dataclasses could be called."""
    app.add_url_rule("/", view_func=flask_chest(TrackedVar("a"))(set_all_view()))
    assert seen(app) == {"a": "1"}


@pytest.mark.parametrize("above", [True, False])
def test_above_and_below_route(app: Flask, above: bool) -> None:
    """Both orders with ``@app.route`` record."""
    mark, route = flask_chest("a"), app.route("/")
    view = set_all_view()
    decorated = mark(route(view)) if above else route(mark(view))
    assert decorated is view
    assert seen(app) == {"a": "1"}


def test_under_other_decorators(app: Flask) -> None:
    """``functools.wraps`` carries the mark up, and a decorator in between adds to it."""

    def other(view: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(view)
        def wrapper(*args: Any, **kwargs: Any) -> str:
            return view(*args, **kwargs)

        return wrapper

    inner = flask_chest("a")(set_all_view())
    outer = flask_chest("b")(other(other(inner)))
    app.add_url_rule("/", view_func=outer)
    app.add_url_rule("/inner", "inner", inner)
    assert seen(app) == {"a": "1", "b": "2"}
    assert seen(app, "/inner") == {"a": "1"}


def test_async_view(app: Flask) -> None:
    """A coroutine function stays one, and what it sets is recorded."""

    @app.route("/")
    @flask_chest("a")
    async def view() -> str:
        await asyncio.sleep(0)
        g.a = "1"
        return "ok"

    assert inspect.iscoroutinefunction(view)
    assert seen(app) == {"a": "1"}


def test_generator_view(app: Flask) -> None:
    """A view that returns a generator is recorded with what it set before."""

    @app.route("/")
    @flask_chest("a")
    def view() -> Iterator[str]:
        g.a = "1"
        return (part for part in ("o", "k"))

    assert seen(app) == {"a": "1"}


class Decorated(View):
    """Marked through ``decorators``."""

    decorators = [flask_chest("a")]  # noqa: RUF012 - as Flask's documentation writes it

    def dispatch_request(self) -> str:
        return set_all()


@flask_chest("a")
class Marked(View):
    """Marked on the class."""

    def dispatch_request(self) -> str:
        return set_all()


class Inherited(Marked):
    """Marked on its base."""


class OnDispatch(View):
    """Marked on its one method."""

    @flask_chest("a")
    def dispatch_request(self) -> str:
        return set_all()


class Once(OnDispatch):
    """One object for all requests."""

    init_every_request = False


@pytest.mark.parametrize("cls", [Decorated, Marked, Inherited, OnDispatch, Once])
def test_class_based_views(app: Flask, cls: type[View]) -> None:
    """Each place for a mark on a View records."""
    app.add_url_rule("/", view_func=cls.as_view("view"))
    assert seen(app) == {"a": "1"}


@flask_chest("c")
class Methods(MethodView):
    """One variable for all, one more for GET, another for POST."""

    @flask_chest("a")
    def get(self) -> str:
        return set_all()

    @flask_chest(tracked_vars={"POST": ["b"], "GET": ["a"]})
    def post(self) -> str:
        return set_all()

    def put(self) -> str:
        return set_all()


@pytest.mark.parametrize(
    ("method", "expected"),
    [("GET", {"a", "c"}), ("HEAD", {"a", "c"}), ("POST", {"b", "c"}), ("PUT", {"c"}), ("OPTIONS", set())],
)
def test_method_view(app: Flask, method: str, expected: set[str]) -> None:
    """A mark on one method counts for that one (HEAD is answered by ``get``), the class's for all."""
    app.add_url_rule("/", view_func=Methods.as_view("methods"))
    assert set(seen(app, method=method)) == expected


def test_mark_on_subclass_leaves_the_base(app: Flask) -> None:
    """Marking a subclass adds to the base's marks there, and changes nothing on the base."""

    @flask_chest("b")
    class Sub(Marked):
        """Two marks."""

    app.add_url_rule("/sub", view_func=Sub.as_view("sub"))
    app.add_url_rule("/base", view_func=Marked.as_view("base"))
    assert set(seen(app, "/sub")) == {"a", "b"}
    assert set(seen(app, "/base")) == {"a"}


def test_blueprints(app: Flask) -> None:
    """Views of blueprints and of blueprints inside blueprints record, with the full rule as route."""
    outer, inner = Blueprint("outer", __name__, url_prefix="/o"), Blueprint("inner", __name__, url_prefix="/i")

    @outer.route("/x")
    @flask_chest("a")
    def of_outer() -> str:
        return set_all()

    @inner.route("/<int:number>")
    @flask_chest("b")
    def of_inner(number: int) -> str:
        return set_all()

    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    assert seen(app, "/o/x") == {"a": "1"}
    with capture(app) as records:
        app.test_client().get("/o/i/7")
    assert (records[0].route, dict(records[0].variables)) == ("/o/i/<int:number>", {"b": "2"})


def test_blueprint_registered_twice(app: Flask) -> None:
    """The same blueprint under two names records in both places."""
    blueprint = Blueprint("b", __name__)
    blueprint.route("/x")(flask_chest("a")(set_all_view()))
    app.register_blueprint(blueprint, url_prefix="/one", name="one")
    app.register_blueprint(blueprint, url_prefix="/two", name="two")
    assert seen(app, "/one/x") == seen(app, "/two/x") == {"a": "1"}


class Shop:
    """An object whose methods are views."""

    @flask_chest("a")
    def marked(self) -> str:
        return set_all()

    def plain(self) -> str:
        return set_all()


class CallableView:
    """An object that is a view."""

    __name__ = "callable_view"

    def __call__(self) -> str:
        return set_all()


def test_bound_methods_and_callable_objects(app: Flask) -> None:
    """Bound methods, partials and callable objects can be marked, and come back as they are."""
    shop = Shop()
    app.add_url_rule("/marked", "marked", shop.marked)
    bound = shop.plain
    assert flask_chest("b")(bound) is bound
    app.add_url_rule("/plain", "plain", bound)
    partial: Callable[[], str] = functools.partial(set_all_view())
    app.add_url_rule("/partial", "partial", flask_chest("c")(partial))
    instance = CallableView()
    assert flask_chest("a")(instance) is instance
    app.add_url_rule("/object", "object", instance)
    assert seen(app, "/marked") == {"a": "1"}
    assert seen(app, "/plain") == {"b": "2"}
    assert seen(app, "/partial") == {"c": "3"}
    assert seen(app, "/object") == {"a": "1"}


def test_several_rules_on_one_endpoint(app: Flask) -> None:
    """Each rule of an endpoint is a route of its own."""

    @app.route("/one")
    @app.route("/two/<x>")
    @flask_chest(TrackedVar("n"))
    def view(x: str = "") -> str:
        g.n = 1
        return "ok"

    with capture(app) as records:
        app.test_client().get("/one")
        app.test_client().get("/two/z")
    assert [record.route for record in records] == ["/one", "/two/<x>"]
    assert [record.metrics[0].attributes["http.route"] for record in records] == ["/one", "/two/<x>"]


def test_dict_by_method(app: Flask) -> None:
    """A method that is not listed tracks nothing, HEAD and OPTIONS included."""

    @app.route("/", methods=["GET", "POST", "PUT"])
    @flask_chest(tracked_vars={"GET": ["a"], "post": ["a", "b"]})
    def view() -> str:
        return set_all()

    assert seen(app) == {"a": "1"}
    assert seen(app, method="POST") == {"a": "1", "b": "2"}
    for method in ("PUT", "HEAD", "OPTIONS"):
        assert seen(app, method=method) == {}


def test_everything(app: Flask) -> None:
    """``"*"`` means every public name in ``g``."""

    @app.route("/", methods=["GET", "POST"])
    @flask_chest(tracked_vars={"POST": "*", "GET": ["*", TrackedVar("a", attribute="user.id")]})
    def view() -> str:
        setattr(g, "_private", "no")  # noqa: B010 - a private name of the application's own
        if request.method == "GET":
            return set_all()
        g.only_post = True
        return "ok"

    assert seen(app) == {"a": "1", "b": "2", "c": "3"}
    assert seen(app, method="POST") == {"only_post": True}


def test_everything_keeps_redaction(app: Flask) -> None:
    """``"*"`` masks sensitive names like listed ones."""

    @app.route("/")
    @flask_chest("*")
    def view() -> str:
        g.user_password = "hunter2"  # noqa: S105 - the point
        return "ok"

    assert seen(app) == {"user_password": "[REDACTED]"}


def test_route_adds_or_replaces(rig: Rig) -> None:
    """A route adds to the application's variables; ``inherit=False`` replaces them, stacked marks included."""
    app = rig.app(tracked_vars=["c"])
    app.add_url_rule("/add", "add", flask_chest("a")(set_all_view()))
    app.add_url_rule("/replace", "replace", flask_chest("a", inherit=False)(set_all_view()))
    stacked = flask_chest("b")(flask_chest("a", inherit=False)(set_all_view()))
    app.add_url_rule("/stacked", "stacked", stacked)
    app.add_url_rule("/nothing", "nothing", flask_chest(inherit=False)(set_all_view()))
    assert set(seen(app, "/add")) == {"a", "c"}
    assert set(seen(app, "/replace")) == {"a"}
    assert set(seen(app, "/stacked")) == {"a", "b"}
    assert seen(app, "/nothing") == {}


def test_route_overrides_a_variable(rig: Rig) -> None:
    """A route's definition of a variable beats the application's."""
    app = rig.app(tracked_vars=[TrackedVar("a", attribute="app.a")])
    app.add_url_rule("/", view_func=flask_chest(TrackedVar("a", attribute="route.a"))(set_all_view()))
    assert seen(app) == {"a": "1"}
    attributes = rig.server().attributes or {}
    assert "route.a" in attributes
    assert "app.a" not in attributes


def test_outermost_generator_and_chests_win(app: Flask) -> None:
    """Of stacked marks the outermost has the last word on ids and destinations."""
    view = flask_chest("a", request_id_generator=lambda: "inner", chests=["x"])(set_all_view())
    view = flask_chest(request_id_generator=lambda: "outer", chests="y")(view)
    app.add_url_rule("/", view_func=flask_chest("b")(view))
    with capture(app) as records:
        app.test_client().get("/")
    assert records[0].request_id == "outer"
    assert records[0].chests == ("y",)
    assert set(records[0].variables) == {"a", "b"}


def test_nothing_at_call_time() -> None:
    """A decorated function is called directly like the plain one, outside of any application."""

    @flask_chest("a")
    def view(number: int) -> int:
        return number + 1

    assert view(1) == 2


def test_the_documented_sample(app: Flask) -> None:
    """The example of the documentation: GET and POST with their own variables, destinations and id."""

    @app.route("/cart/<int:cart_id>", methods=["GET", "POST"])
    @flask_chest(
        tracked_vars={
            "GET": ["user_id"],
            "POST": ["user_id", TrackedVar("cart_total", unit="{EUR}"), TrackedVar("plan", dimension=True)],
        },
        request_id_generator=lambda: "20260102030405",
        chests=["influxdb", "audit"],
    )
    def cart(cart_id: int) -> str:
        g.user_id, g.cart_total, g.plan = f"u{cart_id}", 42.5, "gold"
        return "ok"

    with capture(app) as records:
        app.test_client().get("/cart/1")
        app.test_client().post("/cart/2")
    get, post = records
    assert dict(get.variables) == {"user_id": "u1"}
    assert dict(post.variables) == {"user_id": "u2", "cart_total": 42.5, "plan": "gold"}
    (measured,) = post.metrics
    assert dict(measured.attributes) == {
        "http.request.method": "POST",
        "http.route": "/cart/<int:cart_id>",
        "flask.chests": "audit,influxdb",
        "flask.g.plan": "gold",
    }
    assert post.request_id == "20260102030405"


class Box:
    """What looks like a chest."""

    name = "audit"


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "no variable": (lambda: flask_chest(3), "tracked_vars"),  # type: ignore[call-overload]
    "no identifier": (lambda: flask_chest("user id"), "user_id"),
    "empty name": (lambda: flask_chest(""), "for example 'user_id'"),
    "twice": (lambda: flask_chest("a", TrackedVar("a", unit="s")), "each variable once"),
    "both": (lambda: flask_chest("a", tracked_vars=["b"]), "not both"),
    "none": (lambda: flask_chest(tracked_vars=None), "tracked_vars"),  # type: ignore[call-overload]
    "method": (lambda: flask_chest({"GET /": ["a"]}), "HTTP methods as keys"),
    "generator": (lambda: flask_chest(request_id_generator="x"), "callable"),  # type: ignore[call-overload]
    "chest name": (lambda: flask_chest(chests=["a,b"]), "names of 1 to 64 characters"),
    "chest number": (lambda: flask_chest(chests=[3]), "chests"),  # type: ignore[list-item]
    "chest object": (lambda: flask_chest(chests=[Box()]), "give its name, 'audit', and the chest itself in chests= of"),  # type: ignore[list-item]
    "chest alone": (lambda: flask_chest(chests=Box()), "give its name, 'audit'"),  # type: ignore[call-overload]
    "chest nameless": (lambda: flask_chest(chests=[object()]), "names of 1 to 64"),  # type: ignore[list-item]
    "chests number": (lambda: flask_chest(chests=3), "chests"),  # type: ignore[call-overload]
    "no view": (lambda: flask_chest("a")("b"), "directly above a function"),  # type: ignore[type-var]
    "builtin": (lambda: flask_chest("a")(len), "function or class"),
    "inherit": (lambda: flask_chest("a", inherit="no"), "inherit"),  # type: ignore[call-overload]
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_teach(case: str) -> None:
    """Each argument that cannot be used raises at once and says what can."""
    call, words = BAD[case]
    with pytest.raises(ChestConfigError) as caught:
        call()
    assert words in str(caught.value)
    assert "cannot be used: give " in str(caught.value)
