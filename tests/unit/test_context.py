"""The typed context: one object per request, reachable from anywhere in it, its fields tracked like variables."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from flask import copy_current_request_context, g
from typing_extensions import assert_type

from flask_chest_otel import FlaskChest, TrackedVar, current_context, flask_chest
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from tests.conftest import Rig


@dataclass
class Order:
    """What a request is about."""

    correlation_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    total: float = 0.0
    customer: str | None = None


class Slotted:
    """A plain class without a ``__dict__``, one of whose properties breaks."""

    __slots__ = ("customer",)

    def __init__(self) -> None:
        self.customer = "c1"

    @property
    def total(self) -> float:
        raise RuntimeError("the application's own")


def test_one_for_each_request(rig: Rig) -> None:
    """Each request has a fresh object, made when it is first asked for, the same everywhere in it."""
    made: list[Order] = []
    app = rig.plain()

    def make() -> Order:
        made.append(Order())
        return made[-1]

    chest = FlaskChest[Order](app, context=make, **rig.providers)

    @app.get("/<int:ask>")
    def view(ask: int) -> str:
        if not ask:
            return "not asked"
        assert_type(chest.context, Order)
        chest.context.total = 3
        return f"{current_context.total} {chest.context is made[-1]}"

    client = app.test_client()
    assert client.get("/0").text == "not asked"
    assert [client.get("/1").text for _ in range(2)] == ["3 True"] * 2
    assert len(made) == 2


def test_fields_are_tracked(rig: Rig) -> None:
    """Public fields are recorded like variables of g, which wins where both have a name."""
    app = rig.app(
        context=Order, tracked_vars=["customer", "total", TrackedVar("correlation_id", attribute="correlation.id")]
    )

    @app.get("/")
    def view() -> str:
        current_context.total = 42.5
        current_context.customer = "of the context"
        g.customer = "of g"
        return str(current_context.correlation_id)

    with capture(app) as records:
        text = app.test_client().get("/").text
    assert dict(records[0].variables) == {"customer": "of g", "total": 42.5, "correlation_id": text}
    assert (rig.server().attributes or {})["correlation.id"] == text
    assert [point.sum for point in rig.points("flask.g.total")] == [42.5]


def test_no_field_without_the_object(rig: Rig) -> None:
    """A request that never asks for its context records none of its fields."""
    app = rig.app(context=Order, tracked_vars=["correlation_id"])
    app.add_url_rule("/", view_func=lambda: "ok")
    with capture(app) as records:
        app.test_client().get("/")
    assert dict(records[0].variables) == {}


@pytest.mark.guard_on
def test_a_property_that_raises(rig: Rig) -> None:
    """A field whose code breaks is left out; the others are recorded."""
    app = rig.app(context=Slotted, tracked_vars=["customer", "total"])
    app.add_url_rule("/", view_func=lambda: str(current_context.customer))
    with capture(app) as records:
        assert app.test_client().get("/").text == "c1"
    assert dict(records[0].variables) == {"customer": "c1"}


def test_attrs_classes(rig: Rig) -> None:
    """A class made with attrs is tracked, and takes what arrives, like any other."""
    attrs = pytest.importorskip("attrs")
    made = attrs.make_class(
        "Basket", {"total": attrs.field(default=1.5, type=float), "customer": attrs.field(default=None)}
    )
    app = rig.app(context=made, tracked_vars=["customer", "total"], propagate=["total"])
    app.add_url_rule("/", view_func=lambda: str(current_context.total))
    with capture(app) as records:
        assert app.test_client().get("/", headers={"baggage": "total=42"}).text == "42.0"
    assert dict(records[0].variables) == {"total": 42.0}


def test_whether_or_not_it_is_recorded(rig: Rig) -> None:
    """The application has its context on excluded URLs and with a disabled chest, too."""
    for name, options in (("excluded", {"excluded_urls": ["/"]}), ("disabled", {"enabled": False})):
        app = rig.plain(name)
        rig.chest(app, context=Order, **options)
        app.add_url_rule("/", view_func=lambda: str(current_context.total))
        assert app.test_client().get("/").text == "0.0"


def test_shared_app_context(rig: Rig) -> None:
    """An application context pushed outside is shared by its requests; their contexts are not."""
    app = rig.app(context=Order)
    app.add_url_rule("/", view_func=lambda: str(current_context.correlation_id))
    with app.app_context():
        texts = {app.test_client().get("/").text for _ in range(3)}
    assert len(texts) == 3


def test_in_a_copied_context(rig: Rig) -> None:
    """A thread with a copied request context sees the same object."""
    app = rig.app(context=Order)
    seen: list[str] = []

    @app.get("/")
    def view() -> str:
        text = str(current_context.correlation_id)
        thread = threading.Thread(
            target=copy_current_request_context(lambda: seen.append(current_context.correlation_id))
        )
        thread.start()
        thread.join()
        return text

    assert app.test_client().get("/").text == seen[0]


def test_where_there_is_none(rig: Rig) -> None:
    """Outside of requests, and where none was asked for, the error says what to do."""
    app = rig.app()
    with pytest.raises(RuntimeError, match="FlaskChest"):
        current_context.total  # noqa: B018 - asking is the test
    with app.test_request_context(), pytest.raises(RuntimeError, match="context=MyContext"):
        current_context.total  # noqa: B018 - asking is the test
    other = rig.plain("other")
    chest = FlaskChest(other, context=Order, **rig.providers)
    with other.app_context(), pytest.raises(RuntimeError, match="in a view"):
        chest.context  # noqa: B018 - asking is the test


def test_routes_choose_fields(rig: Rig) -> None:
    """A route names fields of the context like variables."""
    app = rig.app(context=Order)

    @app.get("/")
    @flask_chest("total")
    def view() -> str:
        current_context.total = 1.5
        return "ok"

    with capture(app) as records:
        app.test_client().get("/")
    assert dict(records[0].variables) == {"total": 1.5}


def test_fields_beyond_the_limit_of_variables(rig: Rig) -> None:
    """More names than may be recorded: those that are set count, wherever they are set."""
    app = rig.plain()
    rig.chest(app, context=Order, variables_limit=3, tracked_vars=["a", "b", "c", "d", "total"])

    @app.route("/")
    def view() -> str:
        g.a = "1"
        current_context.total = 2.5
        return "ok"

    with capture(app) as records:
        app.test_client().get("/")
    assert records[0].variables == {"a": "1", "total": 2.5}
