"""Objectives: what is refused where they are defined, and how they may be written."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask, g

from flask_chest_otel import SLO, ChestConfigError, FlaskChest, TrackedVar, flask_chest
from flask_chest_otel._lifecycle.state import objectives_of
from flask_chest_otel.config import ChestConfig, effective_environment, resolve
from flask_chest_otel.config.slos import parse_slos
from flask_chest_otel.slo import BURN_ALERTS


def slo(**given: Any) -> SLO:
    """An objective with some fields of its own."""
    return SLO(**{"name": "checkout", "objective": 99.9, **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"objective": 100}, r"SLO('checkout', objective)=100 cannot be used: give less than 100"),
        ({"objective": 90}, "wants 14.4 times the budget of 10 % to fail, which is 144 % of all requests"),
        ({"objective": 0.999}, "percent (did you mean 99.9?)"),
        ({"objective": 99.99999999999999}, "at most 99.9999: one bad request of a million"),
        ({"objective": 99.99995}, "at most 99.9999"),
        ({"objective": 0}, "a number of percent"),
        ({"objective": -1}, "a number of percent"),
        ({"objective": float("nan")}, "a number of percent"),
        ({"objective": "99.9"}, "a number of percent"),
        ({"objective": True}, "a number of percent"),
        ({"window_days": 2}, "a whole number of days from 3, the longest time of an alert, to 90"),
        ({"window_days": 91}, "to 90"),
        ({"window_days": 28.5}, "a whole number of days"),
        ({"bad_status": "5x"}, "SLO('checkout', bad_status)='5x' cannot be used: give statuses that are bad"),
        ({"bad_status": "50x"}, "did you mean '5xx'?"),
        ({"bad_status": "600"}, "statuses that are bad"),
        ({"bad_status": "599-500"}, "statuses that are bad"),
        ({"bad_status": {"5xx": 1}}, "statuses that are bad"),
        ({"bad_status": None}, "statuses that are bad"),
        ({"latency_s": -0.3}, "a number of seconds greater than 0"),
        ({"latency_s": 0}, "a number of seconds greater than 0"),
        ({"latency_s": float("inf")}, "a number of seconds greater than 0"),
        ({"routes": "checkout"}, "URL rules, which begin with '/'"),
        ({"routes": []}, "one URL rule or more, or leave it out for every request"),
        ({"routes": [None]}, "URL rules, which begin with '/'"),
        ({"methods": ["PSOT"]}, "did you mean 'POST'?"),
        ({"methods": [1]}, "HTTP methods"),
        ({"good": "lambda record: True"}, "a function of the request's record"),
        ({"good": lambda: True}, "a function of the request's record"),
        ({"bad_when": {"outcome": []}}, "variables with the values that are bad"),
        ({"bad_when": {"outcome": [None]}}, "values are texts, numbers, True or False"),
        ({"bad_when": {"out come": ["x"]}}, "'out come' is no name of a variable"),
        ({"bad_when": ["outcome"]}, "variables with the values that are bad"),
        ({"by": ["plan"]}, "the name of one tracked variable"),
        ({"min_requests": -1}, "a whole number from 0"),
        ({"name": "check out"}, "SLO name='check out' cannot be used"),
        ({"name": ""}, "1 to 64 characters"),
        ({"route": "/checkout"}, "an argument of SLO (did you mean 'routes'?)"),
    ],
)
def test_refused_where_it_is_defined(given: dict[str, Any], said: str) -> None:
    """What could never be kept, never fail or never be noticed is refused, and the error says what to type."""
    with pytest.raises(ChestConfigError) as refused:
        slo(**given)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        (("x", 99), {}, "SLO arguments=('x', 99) cannot be used: give SLO(name='x', objective=99)"),
        (("x",), {}, "SLO arguments=('x',) cannot be used: give SLO(name='x', objective=…)"),
        ((), {"objective": 99}, "give SLO(objective=99, name=…)"),
        (("x", 99, "/a"), {"by": "plan"}, "give SLO(name='x', objective=99, routes='/a', by='plan')"),
    ],
)
def test_arguments_need_their_names(args: tuple[Any, ...], kwargs: dict[str, Any], said: str) -> None:
    """A call that Python would refuse is answered with the call as it has to be written."""
    with pytest.raises(TypeError) as refused:
        SLO(*args, **kwargs)
    assert isinstance(refused.value, ChestConfigError)
    assert said in str(refused.value)


def test_async_good_is_refused() -> None:
    """A coroutine is true whatever it says: nobody waits for it in a request."""

    async def good(_record: Any) -> bool:
        return False

    with pytest.raises(ChestConfigError, match="none with 'async'"):
        slo(good=good)


@pytest.mark.parametrize("objective", [93.06, 99, 99.9, 99.999, 99.9999])
def test_an_objective_is_allowed_where_its_alerts_can_fire(objective: float) -> None:
    """Where all requests fail, the budget burns faster than the fastest alert wants: that is the whole border."""
    assert slo(objective=objective).budget * max(alert.burn for alert in BURN_ALERTS) < 1
    with pytest.raises(ChestConfigError, match="could never fire"):
        slo(objective=93.05)


def test_one_text_stands_for_a_list() -> None:
    """Routes, methods and statuses may be written alone, in any case."""
    found = slo(routes="/checkout", methods="post", bad_status=[503, "4XX"], bad_when={"outcome": "declined"})
    assert (found.routes, found.methods, found.bad_status) == (("/checkout",), ("POST",), "503,4xx")
    assert found.bad_when == {"outcome": ("declined",)}
    assert found.bad_statuses == (range(503, 504), range(400, 500))
    assert slo(bad_status="500-502").bad_statuses == (range(500, 503),)
    assert slo(bad_status=()).bad_statuses == ()


@pytest.mark.parametrize(
    ("routes", "route", "belongs"),
    [
        ("*", None, True),
        ("*", "/cart", True),
        ("/*", None, False),
        ("/*", "/cart", True),
        ("/cart/*", "/cart/<int:cart_id>", True),
        ("/cart/*", "/cart", False),
        ("/cart/*/items", "/cart/<path:name>/items", True),
        ("/cart/*/items", "/cart/<path:name>/items/<n>", False),
        ("/cart/<int:cart_id>", "/cart/<int:cart_id>", True),
        ("/cart.", "/cartx", False),
    ],
)
def test_routes(routes: str, route: str | None, belongs: bool) -> None:
    """A star stands for any characters of a rule; alone it is every request, also one without a rule."""
    assert slo(routes=routes).is_for(route, "GET") == belongs
    assert not slo(routes=routes, methods=["POST"]).is_for(route, "GET")


def test_two_of_one_name_are_refused() -> None:
    """Each objective of an application has its own name, whatever its case."""
    with pytest.raises(ChestConfigError, match="each objective a name of its own"):
        FlaskChest(Flask("shop"), slos=[slo(), slo(name="Checkout", objective=99)])


def test_json_says_the_same() -> None:
    """What the environment may say settles to the same objectives, and is written back as it can be read again."""
    objects = (
        slo(routes=["/checkout"], methods=["POST"], latency_s=0.3, by="plan"),
        slo(name="cart", objective=99.5, bad_when={"outcome": ("declined", 3, True)}, bad_status="4xx,503"),
    )
    config = ChestConfig({"slos": objects})
    written = effective_environment(config)["FLASK_CHEST_SLOS"]
    assert resolve({}, {}, {"FLASK_CHEST_SLOS": written}).slos == objects
    assert [sorted(entry) for entry in json.loads(written)] == [
        ["by", "latency_s", "methods", "name", "objective", "routes"],
        ["bad_status", "bad_when", "name", "objective"],
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("checkout", 'JSON, such as [{"name": "checkout"'),
        ('[{"name": "checkout"}]', "each objective 'objective', too"),
        ('[{"objective": 99.9}]', "each objective 'name', too"),
        ('[{"name": "checkout", "objective": 99.9, "latency": 1}]', "did you mean 'latency_s'?"),
        ('[{"name": "checkout", "objective": 99.9, "good": "f"}]', "JSON has no callables"),
        ('[{"name": "checkout", "objective": 50}]', "could never fire"),
        ("[1]", 'objectives: SLO("checkout", objective=99.9)'),
        ("1", "a list of objectives"),
    ],
)
def test_json_that_cannot_be_used(text: str, said: str) -> None:
    """A mistake in the environment is named with what to type."""
    with pytest.raises(ChestConfigError) as refused:
        parse_slos(text)
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["none", "[]"])
def test_none_in_the_environment(text: str) -> None:
    """No objective can be said, too."""
    assert resolve({}, {}, {"FLASK_CHEST_SLOS": text}).slos == ()


def test_an_objective_with_code_has_no_text() -> None:
    """A callable cannot be written into the environment: its objective is left out."""
    config = ChestConfig({"slos": (slo(), slo(name="cart", good=lambda record: record.status != 409))})
    assert [entry["name"] for entry in json.loads(effective_environment(config)["FLASK_CHEST_SLOS"])] == ["checkout"]


def test_objectives_of_an_application() -> None:
    """Whoever renders gets each objective with the attribute of its variable, before any request."""
    app = Flask("shop")
    by_plan, by_tier = slo(by="plan"), slo(name="cart", by="tier")
    FlaskChest(app, slos=[by_plan, by_tier, slo(name="rest")])

    @app.route("/checkout")
    @flask_chest(TrackedVar("plan", attribute="app.plan"), "tier")
    def checkout() -> str:
        g.plan = "gold"
        return "done"

    assert [found.attribute for found in objectives_of(app)] == ["app.plan", "flask.g.tier", None]
    assert [found.slo.name for found in objectives_of(app)] == ["checkout", "cart", "rest"]
    assert objectives_of(Flask("bare")) == ()


def test_from_app_config() -> None:
    """``app.config`` takes objects, and names itself where they cannot be used."""
    app = Flask("shop")
    app.config["FLASK_CHEST_SLOS"] = [slo(), slo()]
    with pytest.raises(ChestConfigError, match="FLASK_CHEST_SLOS='checkout' cannot be used"):
        FlaskChest(app)
