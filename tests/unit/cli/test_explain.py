"""``flask chest explain``."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from flask_chest_otel._records.record import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from flask_chest_otel._records.record import RequestRecord

ERROR = RequestError("shop.PaymentError", "no answer", "shop:pay:3", "Traceback", handled=False)


@pytest.fixture
def traffic(fill: Callable[..., Path], record: Callable[..., RequestRecord]) -> Path:
    """600 requests: gold plans fail, carts with many items are slow; how long a view took is a variable, too."""
    random = Random(7)

    def one(number: int) -> RequestRecord:
        plan, items = random.choices(["free", "team", "gold"], [7, 2, 1])[0], random.randrange(1, 30)
        bad = random.random() < (0.7 if plan == "gold" else 0.01)
        took_s = random.lognormvariate(0, 0.3) * (0.4 if items >= 20 else 0.02)
        variables: dict[str, Any] = {"plan": plan, "items": items, "response_time": took_s * 0.98, "token": f"{number}"}
        changes: dict[str, Any] = {"status": 500, "error": ERROR} if bad else {}
        route = random.choice(["/pay", "/cart", None])
        return record(number, 0, variables=variables, duration_s=took_s, route=route, path="/x", **changes)

    return fill(*map(one, range(600)))


def found(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    findings = json.loads(result.stdout)["findings"]
    return [[condition["text"] for condition in one["conditions"]] for one in findings]


def test_why_requests_fail(traffic: Path, chest: Callable[..., Result]) -> None:
    """The planted plan is the one finding: neither status nor error, which only say again what was asked."""
    assert found(chest("explain", "--status", "5xx", "--json")) == [["plan=gold"]]
    assert found(chest("explain", "--error", "PaymentError", "--json")) == [["plan=gold"]]
    assert found(chest("explain", "--error", "*", "--json")) == [["plan=gold"]]


def test_how_long_a_failed_request_took_is_no_reason(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Failed requests wait for the bank: a variable that measures this wait again does not hide the plan."""
    random = Random(3)

    def one(number: int) -> RequestRecord:
        bad = random.random() < 0.1
        plan = "gold" if bad or random.random() < 0.02 else "free"
        took_s = random.uniform(0.5, 0.6) if bad else random.uniform(0.001, 0.1)
        variables = {"plan": plan, "response_time": took_s * 0.98}
        return record(number, 0, variables=variables, duration_s=took_s, status=500 if bad else 200)

    fill(*map(one, range(400)))
    assert found(chest("explain", "--status", "5xx", "--json")) == [["plan=gold"]]


def test_why_requests_are_slow(traffic: Path, chest: Callable[..., Result]) -> None:
    """The number of items is found, and not the variable that holds how long the request took."""
    (conditions,) = found(chest("explain", "--slower", "150", "--json"))
    assert conditions in (["items>=20"], ["items>=21"])


@pytest.mark.parametrize("name", ["status", "error", "place", "route"])
def test_a_variable_with_the_name_of_a_built_in(
    name: str, fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """It is the application's own, and no repetition of why requests were chosen."""
    cities = ("oslo", "rome", "bern", "kyiv")

    def one(number: int) -> RequestRecord:
        city = cities[number % 4]
        return record(number, 0, variables={name: city}, status=500 if city == "oslo" else 200)

    fill(*map(one, range(200)))
    assert found(chest("explain", "--status", "5xx", "--json")) == [[f"{name}=oslo"]]


def test_an_error_is_not_explained_by_itself(traffic: Path, chest: Callable[..., Result]) -> None:
    """Also where requests are chosen by their duration as well."""
    for conditions in found(chest("explain", "--slower", "1", "--error", "PaymentError", "--json")):
        assert not any("PaymentError" in text or "shop:pay" in text for text in conditions)


def test_a_duration_with_a_unit(traffic: Path, chest: Callable[..., Result]) -> None:
    """What to type is said."""
    for command in ("explain", "requests"):
        result = chest(command, "--slower", "1s")
        assert (result.exit_code, "type it without a unit, such as 500" in result.stderr) == (2, True)


def test_table(traffic: Path, chest: Callable[..., Result]) -> None:
    """People see both shares, how likely it is by accident, and what was looked at, in 80 columns."""
    first, _, head, row, *_ = chest("explain", "--status", "5xx").stdout.splitlines()
    (errors,) = json.loads(chest("errors", "--route", "/pay", "--json").stdout)
    assert int(first.split()[1]) > errors["count"]
    assert " of 600 requests. Conditions looked at: " in first
    assert head.split() == ["AMONG", "THEM", "ELSE", "CHANCE", "WHAT"]
    assert row.endswith("  <1e-12  plan=gold")
    assert float(row.split()[0]) > 80
    assert float(row.split()[2]) < 10


def test_what_goes_along_is_wrapped_below_itself(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Conditions that hold for the same requests go on in the column of what was found, and no word is cut."""
    same = {"payment_provider": "the bank around the corner", "customer_group": "regular customers"}
    fill(*[record(number, 0, status=500, variables=same) for number in range(40)])
    fill(*[record(number, 0, variables={}) for number in range(40, 400)])
    lines = chest("explain", "--status", "5xx").stdout.splitlines()[4:]
    assert len(lines) > 1
    assert all(line.startswith(" " * 30) and len(line) <= 80 for line in lines)
    assert " ".join(line.strip() for line in lines).startswith("the same requests: ")
    assert max(len(line) - len(line.lstrip()) for line in lines) <= 32


def test_the_others_are_those_that_were_asked_for(traffic: Path, chest: Callable[..., Result]) -> None:
    """Other options say among which requests: within the gold plan, the plan explains nothing."""
    result = chest("explain", "--status", "5xx", "--var", "plan=gold")
    assert "Nothing stands out." in result.stdout


def test_nothing_to_explain(traffic: Path, shop: Path, chest: Callable[..., Result]) -> None:
    """No such request, none else, or too few: each is said, with exit code 0."""
    assert "No request is like that." in chest("explain", "--status", "418").stdout
    assert "All requests are like that" in chest("explain", "--slower", "0").stdout
    few = chest("explain", "--status", "4xx")
    assert (few.exit_code, "So few requests (1) seldom show anything" in few.stdout) == (0, True)


def test_something_has_to_be_asked(shop: Path, chest: Callable[..., Result]) -> None:
    """Without a choice there is nothing to explain: a usage error that says what to type."""
    result = chest("explain")
    assert result.exit_code == 2
    assert "Type --status 5xx, --slower 500 or --error PaymentError" in result.stderr
