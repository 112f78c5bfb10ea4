"""What stands out among requests."""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._analysis.chance import Counts, log_chance
from flask_chest_otel._analysis.conditions import MOST_VALUES, Fact
from flask_chest_otel._analysis.explain import Explanation, Observation, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUTE, METHOD, VERSION = (Fact("request", name) for name in ("route", "method", "version"))
PLAN, USER, ITEMS, TOTAL, VIP, TAGS, SESSION, REGION = (
    Fact("variable", name) for name in ("plan", "user_id", "items", "cart_total", "vip", "tags", "session", "region")
)

Facts = dict[Fact, Any]


def one_request(random: Random) -> Facts:
    """A request of a shop: routes have different methods and variables, as in real applications."""
    route = random.choices(["/", "/cart/<int:id>", "/pay", "/search"], [6, 4, 2, 3])[0]
    facts: Facts = {
        ROUTE: route,
        METHOD: random.choice(["GET", "POST"]) if route in {"/cart/<int:id>", "/pay"} else "GET",
        VERSION: random.choices(["1.4.0", "1.5.0"], [3, 1])[0],
        PLAN: random.choices(["free", "team", "gold"], [7, 2, 1])[0],
        USER: f"u{random.randrange(40)}",
        SESSION: f"{random.getrandbits(64):x}",
        REGION: random.choice(["eu", "us", "ap"]),
        VIP: random.random() < 0.1,
        TAGS: tuple(random.sample("abcdefgh", 2)),
    }
    if route in {"/cart/<int:id>", "/pay"}:
        facts[ITEMS] = random.randrange(1, 40)
        facts[TOTAL] = round(random.lognormvariate(3, 1), 2)
    return facts


def requests(seed: str, cause: Callable[[Facts], bool], planted: float, noise: float = 0.02) -> Iterator[Observation]:
    """3 000 requests, of which some are chosen: ``planted`` of those with the cause, ``noise`` of the others."""
    random = Random(seed)
    for _ in range(3000):
        facts = one_request(random)
        yield Observation(random.random() < (planted if cause(facts) else noise), facts)


CAUSES: dict[str, tuple[Callable[[Facts], bool], set[Fact]]] = {
    "a rare value": (lambda facts: facts[PLAN] == "gold", {PLAN}),
    "a frequent value": (lambda facts: facts[REGION] == "eu", {REGION}),
    "one user": (lambda facts: facts[USER] == "u7", {USER}),
    "a flag": (lambda facts: facts[VIP], {VIP}),
    "one of a list": (lambda facts: "c" in facts[TAGS], {TAGS}),
    "large numbers": (lambda facts: facts.get(ITEMS, 0) >= 30, {ITEMS}),
    "small numbers": (lambda facts: facts.get(TOTAL, 99) < 10, {TOTAL}),
    "a route": (lambda facts: facts[ROUTE] == "/search", {ROUTE}),
    "a version": (lambda facts: facts[VERSION] == "1.5.0", {VERSION}),
    "a value on a route": (lambda facts: facts[REGION] == "us" and facts[ROUTE] == "/pay", {REGION, ROUTE}),
    "a value of a version": (lambda facts: facts[PLAN] == "team" and facts[VERSION] == "1.5.0", {PLAN, VERSION}),
    "numbers of a version": (lambda facts: facts.get(ITEMS, 0) >= 20 and facts[VERSION] == "1.5.0", {ITEMS, VERSION}),
}


@pytest.mark.slow
@pytest.mark.parametrize("planted", [0.9, 0.35])
@pytest.mark.parametrize("cause", CAUSES)
def test_a_planted_cause_comes_first(cause: str, planted: float) -> None:
    """The cause is the first finding, alone or as the two facts that it is made of, whatever else there is."""
    happens, expected = CAUSES[cause]
    found = explain(requests(f"{cause} {planted}", happens, planted))
    first = found.findings[0]
    assert {condition.fact for condition in first.conditions} == expected
    assert first.counts.chosen_share > first.counts.rest_share
    assert first.chance < 0.001
    assert found.left_out == (SESSION,)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_nothing_stands_out_by_accident(seed: int) -> None:
    """Among requests that are chosen by chance, few or many, nothing is found."""
    share = (0.01, 0.05, 0.3)[seed % 3]
    found = explain(requests(f"none {seed}", lambda _: False, 0, noise=share))
    assert found.findings == ()
    assert found.looked_at > 1000


def test_two_causes() -> None:
    """Two causes of their own are two findings; what they have in common with others is no third."""
    found = explain(requests("two", lambda facts: facts[PLAN] == "gold" or facts[ROUTE] == "/pay", 0.8))
    assert [[condition.value for condition in one.conditions] for one in found.findings] == [["/pay"], ["gold"]]


def test_what_goes_along() -> None:
    """A fact that comes and goes with the cause is beside it, and no finding of its own."""
    both = Fact("request", "error")

    def with_error(one: Observation) -> Observation:
        return one._replace(facts={**one.facts, both: "TimeoutError" if one.facts[VERSION] == "1.5.0" else None})

    found = explain(map(with_error, requests("along", lambda facts: facts[VERSION] == "1.5.0", 0.6)))
    (first,) = found.findings
    named = {first.conditions[0].value, *(other.value for ((other),) in first.along)}
    assert named == {"1.5.0", "TimeoutError"}


def test_what_holds_for_some_does_not_go_along() -> None:
    """A fact of half of the chosen requests is not said to be one of the same requests."""
    half = Fact("request", "error")
    seen = iter(range(10**6))

    def with_error(one: Observation) -> Observation:
        is_half = one.facts[VERSION] == "1.5.0" and next(seen) % 2 == 0
        return one._replace(facts={**one.facts, half: "TimeoutError" if is_half else None})

    found = explain(map(with_error, requests("some", lambda facts: facts[VERSION] == "1.5.0", 0.6)))
    (first,) = found.findings
    assert [condition.value for condition in first.conditions] == ["1.5.0"]
    assert "TimeoutError" not in {condition.value for conditions in first.along for condition in conditions}


def test_ranges_say_where_they_begin() -> None:
    """A range of numbers has the quantile near which the planted one begins."""
    found = explain(requests("range", lambda facts: facts.get(TOTAL, 0) >= 40, 0.9))
    (condition,) = found.findings[0].conditions
    assert (condition.value, condition.below) == (None, None)
    assert condition.at_least == pytest.approx(40, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [0, 1, 3, 3000])
def test_too_few_to_say_anything(chosen: int) -> None:
    """None chosen, some, or all: nothing stands out, and nothing fails."""
    random = Random(1)
    found = explain(Observation(number < chosen, one_request(random)) for number in range(3000))
    assert (found.chosen, found.rest, found.findings) == (chosen, 3000 - chosen, ())
    assert explain([]).findings == ()


def test_ids_are_left_out() -> None:
    """A variable with too many different values is named as left out; numbers that are ids are no range."""
    facts = [{SESSION: str(number), Fact("variable", "cart_id"): number} for number in range(MOST_VALUES + 1)]
    found = explain(Observation(number % 2 == 0, one) for number, one in enumerate(facts))
    assert found.left_out == (Fact("variable", "cart_id"), SESSION)
    assert found.looked_at == 0


def test_odd_values() -> None:
    """Infinity, NaN, empty lists and texts, and a name with numbers and texts do no harm."""
    odd = [math.inf, math.nan, (), "", 1, "x", None, True, 10**30, -1.5]
    found = explain(Observation(number % 3 == 0, {PLAN: odd[number % 10], ITEMS: 1}) for number in range(300))
    assert found.findings == ()


@pytest.mark.parametrize(
    "counts", [Counts(3, 4, 1, 4), Counts(8, 10, 2, 12), Counts(5, 5, 0, 5), Counts(40, 60, 300, 900)], ids=str
)
def test_chance(counts: Counts) -> None:
    """The chance is that of Fisher's exact test, one-sided: the part of all ways to choose with so many, or more."""
    have, everything = counts.chosen_with + counts.rest_with, counts.chosen + counts.rest
    ways = sum(
        math.comb(have, some) * math.comb(everything - have, counts.chosen - some)
        for some in range(counts.chosen_with, min(have, counts.chosen) + 1)
    )
    assert math.exp(log_chance(counts)) == pytest.approx(ways / math.comb(everything, counts.chosen), rel=1e-9)
    assert log_chance(Counts(1, 10, 5, 10)) == 0


def test_chance_beyond_floats() -> None:
    """What is as good as certain keeps its order."""
    much, more = Counts(9000, 10000, 10, 90000), Counts(9500, 10000, 10, 90000)
    assert -math.inf < log_chance(more) < log_chance(much) < -5000


def test_the_same_each_time() -> None:
    """The same requests give the same answer, in the same order."""

    def once() -> Explanation:
        return explain(requests("same", lambda facts: facts[PLAN] == "gold", 0.5))

    assert once() == once()
