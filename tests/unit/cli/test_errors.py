"""``flask chest errors``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._records.record import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from flask_chest_otel._records.record import RequestRecord

NO_ANSWER = RequestError("shop.PaymentError", "the bank does not answer", "shop:pay:3", "Traceback", handled=False)
NO_CART = RequestError("KeyError", "'cart'\x1b[2J", "shop:cart:9", "Traceback", handled=True)


@pytest.fixture
def failures(fill: Callable[..., Path], record: Callable[..., RequestRecord]) -> Path:
    """Four payments that failed, a cart that was missing, and a request without an error."""
    payments = [record(number, 60 - number, route="/pay", status=500, error=NO_ANSWER) for number in range(4)]
    return fill(*payments, record(8, 90, error=NO_CART, status=404), record(9, 1))


def test_groups(failures: Path, chest: Callable[..., Result]) -> None:
    """By type, place and route: how often, where, first, last, the last message and three ids; the most first."""
    payments, carts = chest("errors").stdout.split("\n\n")
    head, place, message, when, ids = payments.splitlines()
    assert head == "4 times shop.PaymentError, /pay"
    assert [place.strip(), message.strip()] == ["at shop:pay:3", "the bank does not answer"]
    assert when.split()[0] == "first"
    assert ids.split() == ["flask", "chest", "show", "r-3", "r-2", "r-1"]
    assert carts.splitlines()[:3] == [
        "1 time KeyError, /cart/<int:cart_id>",
        "    at shop:cart:9, handled",
        "    'cart'\\x1b[2J",
    ]


def test_json(failures: Path, chest: Callable[..., Result]) -> None:
    """JSON has the same groups."""
    payments, _ = json.loads(chest("errors", "--json").stdout)
    assert payments.pop("first") < payments.pop("last")
    assert payments == {
        "service": "shop",
        "type": "shop.PaymentError",
        "place": "shop:pay:3",
        "route": "/pay",
        "count": 4,
        "handled": 0,
        "last_ids": ["r-3", "r-2", "r-1"],
        "last_message": "the bank does not answer",
    }


def test_filters(failures: Path, chest: Callable[..., Result]) -> None:
    """Times, route, type and the rest leave their requests; none is a sentence and no error."""

    def counts(*options: str) -> list[int]:
        return [group["count"] for group in json.loads(chest("errors", "--json", *options).stdout)]

    assert counts("--since", "58.5m") == [2]
    assert counts("--error", "PaymentError") == counts("--route", "/pay") == counts("--status", "5xx") == [4]
    assert counts("--limit", "1") == [4]
    assert counts("--since", "1s") == []
    result = chest("errors", "--since", "1s")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No request in the store recorded an exception that is like that." in result.stderr


def test_no_exception_at_all(shop: Path, chest: Callable[..., Result]) -> None:
    """Nothing was asked for in particular, so the sentence speaks of all exceptions."""
    assert chest("errors").stderr == "No request in the store recorded an exception.\n"
