"""``flask chest stats``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from flask_chest_otel._records.record import RequestRecord


NEAR = 0.011
"""How far percentiles may be beside the truth."""


def test_figures_per_route_and_method(shop: Path, chest: Callable[..., Result]) -> None:
    """JSON has, by route and method, transactions, errors of both kinds, and times in ms; and a total."""
    result = chest("stats", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert [(row["route"], row["method"]) for row in found["routes"]] == [
        (None, "GET"),
        ("/cart/<int:cart_id>", "GET"),
        ("/cart/<int:cart_id>", "POST"),
    ]
    row = found["routes"][1]
    assert row.pop("p50_ms") == pytest.approx(20, rel=NEAR)
    assert row.pop("p95_ms") == row.pop("p99_ms") == pytest.approx(50, rel=NEAR)
    assert row == {
        "service": "shop",
        "route": "/cart/<int:cart_id>",
        "method": "GET",
        "transactions": 3,
        "client_errors": 0,
        "errors": 1,
        "average_ms": 26.667,
        "max_ms": 50.0,
        "variables": {},
    }
    total = found["total"]
    assert (total["transactions"], total["client_errors"], total["errors"], total["average_ms"]) == (5, 1, 1, 30.0)


def test_table(shop: Path, chest: Callable[..., Result]) -> None:
    """The same figures as a table, with a line of totals; numbers have three digits."""
    lines = [line.split() for line in chest("stats").stdout.splitlines()]
    assert lines == [
        ["REQUEST", "COUNT", "4XX", "5XX", "P50", "MS", "P95", "MS", "P99", "MS"],
        ["GET", "-", "1", "1", "0", "40.0", "40.0", "40.0"],
        ["GET", "/cart/<int:cart_id>", "3", "0", "1", "20.1", "49.9", "49.9"],
        ["POST", "/cart/<int:cart_id>", "1", "0", "0", "30.0", "30.0", "30.0"],
        ["TOTAL", "5", "1", "1", "30.3", "49.9", "49.9"],
    ]


def test_percentiles(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Of 100 requests of 10, 20, … 1000 ms, 95 took at most 950 ms."""
    fill(*[record(number, 0) for number in range(1, 101)])
    total = json.loads(chest("stats", "--json").stdout)["total"]
    assert (total["transactions"], total["average_ms"]) == (100, 505.0)
    assert [total[name] for name in ("p50_ms", "p95_ms", "p99_ms")] == pytest.approx([500, 950, 990], rel=NEAR)


def test_filters(shop: Path, chest: Callable[..., Result]) -> None:
    """Times, route, method and the rest leave their requests."""

    def count(*options: str) -> int:
        total: int = json.loads(chest("stats", "--json", *options).stdout)["total"]["transactions"]
        return total

    assert count("--since", "1h") == 4
    assert count("--until", "1h") == 1
    assert count("--since", "1h", "--slower", "35") == 2
    assert count("--var", "user_id=u1") == 3
    assert count("--status", "4xx") == count("--route", "-") == count("--method", "POST") == 1
    assert count("--version", "-") == 5


def test_figures_of_a_variable(shop: Path, chest: Callable[..., Result]) -> None:
    """--var NAME gives each row the sum, the mean and percentiles of a variable, exactly."""
    (_, carts, posts) = json.loads(chest("stats", "--json", "--var", "cart_total", "--var", "items").stdout)["routes"]
    assert carts["variables"] == {
        "cart_total": {"count": 3, "sum": 33.0, "average": 11.0, "p50": 10.5, "p95": 21.0, "p99": 21.0}
    }
    assert posts["variables"]["items"]["sum"] == 3
    assert chest("stats", "--var", "cart_total").stdout.splitlines()[-1].split() == [
        *["GET", "/cart/<int:cart_id>", "cart_total", "3", "33", "11", "10.50", "21", "21"],
    ]


def test_by_a_variable(shop: Path, chest: Callable[..., Result]) -> None:
    """--by gives a row for each value of a variable and one for requests without it, the most frequent first."""
    lines = [line.split()[:4] for line in chest("stats", "--by", "user_id").stdout.splitlines()]
    assert lines == [
        ["USER_ID", "COUNT", "4XX", "5XX"],
        ["u1", "3", "0", "1"],
        ["-", "1", "1", "0"],
        ["u2", "1", "0", "0"],
        ["TOTAL", "5", "1", "1"],
    ]
    slowest = json.loads(chest("stats", "--by", "user_id", "--sort", "max", "--json").stdout)["values"]
    assert [(row["name"], row["value"]) for row in slowest] == [("user_id", "u1"), ("user_id", None), ("user_id", "u2")]
    result = chest("stats", "--by", "user_id", "--limit", "1")
    assert len(result.stdout.splitlines()) == 3
    assert "2 more rows: --limit 3" in result.stderr


def test_by_what_every_request_has(shop: Path, chest: Callable[..., Result]) -> None:
    """--by tells requests apart by their route, method or status, too, with the same totals."""
    found = {}
    for name in ("route", "method", "status", "version", "service"):
        answer = json.loads(chest("stats", "--by", name, "--json").stdout)
        found[name] = {row["value"]: row["transactions"] for row in answer["values"]}
        assert sum(found[name].values()) == answer["total"]["transactions"] == 5
    each = {(row["route"], row["method"]) for row in json.loads(chest("stats", "--json").stdout)["routes"]}
    assert found["route"].keys() == {route for route, _ in each}
    assert found["method"].keys() == {method for _, method in each}
    assert sum(count for status, count in found["status"].items() if status.startswith("5")) == 1
    assert found["version"] == {None: 5}


def test_a_variable_that_no_request_has(shop: Path, chest: Callable[..., Result]) -> None:
    """A misspelt name, and a text where a number is added up, are told beside the table; JSON stays alone."""
    assert chest("stats", "--by", "usr").stderr == "--by usr: none of these requests recorded it\n"
    assert chest("stats", "--var", "user_id").stderr == "--var user_id: none of these requests recorded a number\n"
    for options in (["--by", "user_id", "--var", "cart_total"], ["--by", "usr", "--json"], ["--per", "hour"]):
        assert chest("stats", *options).stderr == ""


def test_by_time(fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]) -> None:
    """--per gives a row for each minute, hour or day, also for one without requests, with a bar."""
    fill(*[record(number, 2, status=503) for number in range(4)], record(5, 0))
    head, *lines = chest("stats", "--per", "minute").stdout.splitlines()
    assert head.split() == ["TIME", "COUNT", "4XX", "5XX", "P50", "MS", "P95", "MS"]
    assert [line.split()[2:5] for line in lines] == [["4", "0", "4"], ["0", "0", "0"], ["1", "0", "0"]]
    assert [line.count("█") for line in lines] == [24, 0, 6]
    assert {len(line) for line in lines if "█" in line} <= set(range(81))
    (day,) = json.loads(chest("stats", "--per", "day", "--json", "--utc", "--since", "today", "--utc").stdout)["times"]
    assert day["time"].endswith("T00:00:00+00:00")


def test_days_are_those_of_this_machine(
    fill: Callable[..., Path],
    record: Callable[..., RequestRecord],
    chest: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A day begins at the midnight of the machine's zone."""
    midnight = int(time.time()) // 86400 * 86400 - 2 * 86400
    fill(record(1, 0, start_unix_ns=(midnight - 60) * 10**9), record(2, 0, start_unix_ns=(midnight + 60) * 10**9))
    counts = {}
    for zone in ("UTC", "Asia/Tokyo"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        counts[zone] = [
            row["transactions"] for row in json.loads(chest("stats", "--per", "day", "--json").stdout)["times"]
        ]
    monkeypatch.delenv("TZ")
    time.tzset()
    assert counts == {"UTC": [1, 1], "Asia/Tokyo": [2]}


def test_sort(shop: Path, chest: Callable[..., Result]) -> None:
    """--sort puts the rows with the most first; unless asked, routes are in the order of their names."""
    rows = json.loads(chest("stats", "--json", "--sort", "count").stdout)["routes"]
    assert [row["transactions"] for row in rows] == [3, 1, 1]


def test_by_and_per_exclude_each_other(shop: Path, chest: Callable[..., Result]) -> None:
    """Two answers to what a row is are a usage error."""
    assert chest("stats", "--by", "x", "--per", "hour").exit_code == 2


def test_nothing_found(shop: Path, chest: Callable[..., Result]) -> None:
    """Without a request there is a sentence, and zeroes in JSON."""
    for options in ([], ["--by", "user_id"], ["--per", "hour"]):
        result = chest("stats", "--method", "PATCH", *options)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "No request" in result.stderr
        found = json.loads(chest("stats", "--method", "PATCH", "--json", *options).stdout)
        assert [rows for name, rows in found.items() if name != "total"] == [[]]
        assert found["total"]["transactions"] == found["total"]["errors"] == 0
        assert found["total"]["p95_ms"] is found["total"]["average_ms"] is None


def test_sums_beyond_64_bits(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Large whole numbers are summed, not refused."""
    fill(*[record(number, 0, variables={"big": 2**62}) for number in range(1, 9)])
    (route,) = json.loads(chest("stats", "--json", "--var", "big").stdout)["routes"]
    assert (route["variables"]["big"]["sum"], route["variables"]["big"]["average"]) == (float(2**65), float(2**62))
    assert "3.689e+19" in chest("stats", "--var", "big").stdout


def test_applications_in_one_store(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Each application has figures of its own, and a column; one alone has none."""
    fill(record(1, 2), record(3, 2), record(2, 1, service="bank"))
    lines = [line.split() for line in chest("stats", "--var", "cart_total").stdout.splitlines()]
    assert [line[:4] for line in lines[:4]] == [
        ["SERVICE", "REQUEST", "COUNT", "4XX"],
        ["bank", "GET", "/cart/<int:cart_id>", "1"],
        ["shop", "GET", "/cart/<int:cart_id>", "2"],
        ["TOTAL", "3", "0", "0"],
    ]
    assert [line[:1] + line[3:6] for line in lines[6:]] == [
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
    routes = json.loads(chest("stats", "--json", "--var", "items").stdout)["routes"]
    assert [(one["method"], one["transactions"]) for one in routes] == [("GET", 1), ("_OTHER", 3)]
    assert routes[1]["variables"]["items"]["sum"] == 6
    (other,) = json.loads(chest("stats", "--json", "--method", "_other", "--var", "items").stdout)["routes"]
    assert other == routes[1]
