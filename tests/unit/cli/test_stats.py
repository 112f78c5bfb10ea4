"""``flask chest stats``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from flask_chest_otel._records.record import RequestRecord


def test_figures_per_route_and_method(shop: Path, chest: Callable[..., Result]) -> None:
    """JSON has, by route and method, transactions, errors, times in ms and every numeric variable; and a total."""
    result = chest("stats", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "routes": [
            {
                "service": "shop",
                "route": None,
                "method": "GET",
                "transactions": 1,
                "errors": 0,
                "average_ms": 40.0,
                "p95_ms": 40.0,
                "max_ms": 40.0,
                "variables": {},
            },
            {
                "service": "shop",
                "route": "/cart/<int:cart_id>",
                "method": "GET",
                "transactions": 3,
                "errors": 1,
                "average_ms": 26.667,
                "p95_ms": 50.0,
                "max_ms": 50.0,
                "variables": {"cart_total": {"count": 3, "sum": 33.0, "average": 11.0}},
            },
            {
                "service": "shop",
                "route": "/cart/<int:cart_id>",
                "method": "POST",
                "transactions": 1,
                "errors": 0,
                "average_ms": 30.0,
                "p95_ms": 30.0,
                "max_ms": 30.0,
                "variables": {"items": {"count": 1, "sum": 3.0, "average": 3.0}},
            },
        ],
        "total": {"transactions": 5, "errors": 1, "average_ms": 30.0, "p95_ms": 50.0, "max_ms": 50.0},
    }


def test_table(shop: Path, chest: Callable[..., Result]) -> None:
    """The same figures as two tables: routes with a line of totals, and variables."""
    lines = [line.split() for line in chest("stats").stdout.splitlines()]
    assert lines == [
        ["METHOD", "ROUTE", "TRANSACTIONS", "ERRORS", "AVERAGE", "MS", "P95", "MS", "MAX", "MS"],
        ["GET", "-", "1", "0", "40", "40", "40"],
        ["GET", "/cart/<int:cart_id>", "3", "1", "26.67", "50", "50"],
        ["POST", "/cart/<int:cart_id>", "1", "0", "30", "30", "30"],
        ["TOTAL", "5", "1", "30", "50", "50"],
        [],
        ["METHOD", "ROUTE", "VARIABLE", "COUNT", "SUM", "AVERAGE"],
        ["GET", "/cart/<int:cart_id>", "cart_total", "3", "33", "11"],
        ["POST", "/cart/<int:cart_id>", "items", "1", "3", "3"],
    ]


def test_p95_is_a_time_that_was_measured(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Of 100 requests of 10, 20, … 1000 ms, 95 took at most 950 ms."""
    fill(*[record(number, 0) for number in range(1, 101)])
    total = json.loads(chest("stats", "--json").stdout)["total"]
    assert (total["transactions"], total["average_ms"], total["p95_ms"]) == (100, 505.0, 950.0)


def test_filters(shop: Path, chest: Callable[..., Result]) -> None:
    """Age, route and method leave their requests, in both tables."""
    assert json.loads(chest("stats", "--json", "--since", "1h").stdout)["total"]["transactions"] == 4
    (route,) = json.loads(chest("stats", "--json", "--method", "POST").stdout)["routes"]
    assert list(route["variables"]) == ["items"]
    (route,) = json.loads(chest("stats", "--json", "--route", "-").stdout)["routes"]
    assert route["route"] is None


def test_nothing_found(shop: Path, chest: Callable[..., Result]) -> None:
    """Without a request there is a sentence, and zeroes in JSON."""
    result = chest("stats", "--method", "PATCH")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No request" in result.stderr
    found = json.loads(chest("stats", "--method", "PATCH", "--json").stdout)
    assert found["routes"] == []
    assert found["total"] == {"transactions": 0, "errors": 0, "average_ms": None, "p95_ms": None, "max_ms": None}


def test_sums_beyond_64_bits(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Large whole numbers are summed, not refused."""
    fill(*[record(number, 0, variables={"big": 2**62}) for number in range(1, 9)])
    (route,) = json.loads(chest("stats", "--json").stdout)["routes"]
    assert route["variables"]["big"] == {"count": 8, "sum": float(2**65), "average": float(2**62)}
    assert "3.689e+19" in chest("stats").stdout


def test_applications_in_one_store(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Each application has figures of its own, and a column; one alone has none."""
    fill(record(1, 2), record(3, 2), record(2, 1, service="bank"))
    lines = [line.split() for line in chest("stats").stdout.splitlines()]
    assert [line[:4] for line in lines[:4]] == [
        ["SERVICE", "METHOD", "ROUTE", "TRANSACTIONS"],
        ["bank", "GET", "/cart/<int:cart_id>", "1"],
        ["shop", "GET", "/cart/<int:cart_id>", "2"],
        ["TOTAL", "3", "0", "20"],
    ]
    assert [line[:1] + line[3:6] for line in lines[5:]] == [
        ["SERVICE", "VARIABLE", "COUNT", "SUM"],
        ["bank", "cart_total", "1", "21"],
        ["shop", "cart_total", "2", "42"],
    ]
    assert "SERVICE" not in chest("stats", "--service", "bank").stdout
    routes = json.loads(chest("stats", "--json", "--method", "get").stdout)["routes"]
    assert [(one["service"], one["transactions"]) for one in routes] == [("bank", 1), ("shop", 2)]


def test_methods_that_clients_make_up(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Whatever clients send as a method, it is one row, as in the metrics; and ``--method`` finds it by that name."""
    fill(*[record(number, 0, method=f"BREW{number}", variables={"items": number}) for number in range(1, 4)])
    fill(record(4, 0))
    routes = json.loads(chest("stats", "--json").stdout)["routes"]
    assert [(one["method"], one["transactions"]) for one in routes] == [("GET", 1), ("_OTHER", 3)]
    assert routes[1]["variables"] == {"items": {"count": 3, "sum": 6.0, "average": 2.0}}
    (other,) = json.loads(chest("stats", "--json", "--method", "_other").stdout)["routes"]
    assert other == routes[1]
