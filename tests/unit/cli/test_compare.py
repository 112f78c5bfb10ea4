"""``flask chest compare``."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from flask_chest_otel._records.record import RequestRecord


@pytest.fixture
def versions(fill: Callable[..., Path], record: Callable[..., RequestRecord]) -> Path:
    """500 requests of each of three versions, an hour each: the second is like the first, the third is worse."""
    random = Random(3)
    records = []
    for at, (version, factor, errors) in enumerate([("1.3.0", 1.0, 0.01), ("1.4.0", 1.0, 0.01), ("1.5.0", 1.25, 0.08)]):
        for number in range(500):
            took_s = 0.04 * factor * random.lognormvariate(0, 0.34)
            status = 500 if random.random() < errors else 200
            minutes_ago = 180 - 60 * at - number * 60 / 500
            records.append(
                record(
                    number, minutes_ago, duration_s=took_s, status=status, version=version, request_id=f"{at}-{number}"
                )
            )
    return fill(*records)


def verdicts(result: Result) -> dict[str, bool]:
    return {one["name"]: one["differs"] for one in json.loads(result.stdout)["measures"]}


def test_versions(versions: Path, chest: Callable[..., Result]) -> None:
    """A worse version is worse in errors and times, one like the other in nothing."""
    worse = chest("compare", "1.4.0", "1.5.0", "--json")
    assert worse.exit_code == 0
    assert verdicts(worse) == {"rate": False, "errors": True, "p50": True, "p95": True}
    assert json.loads(worse.stdout)["worse"] == ["errors", "p50", "p95"]
    assert not any(verdicts(chest("compare", "1.3.0", "1.4.0", "--json")).values())
    assert json.loads(chest("compare", "1.5.0", "1.4.0", "--json").stdout)["worse"] == []


def test_spans_of_time(versions: Path, chest: Callable[..., Result]) -> None:
    """An age, or two times with dots between, are spans of time: here the hours of the versions."""
    found = chest("compare", "2h..1h", "1h", "--json")
    assert verdicts(found) == {"rate": False, "errors": True, "p50": True, "p95": True}
    assert json.loads(found.stdout)["a"]["requests"] == pytest.approx(500, abs=2)


def test_table(versions: Path, chest: Callable[..., Result]) -> None:
    """People see both sides, the change with its interval, and a verdict, in 80 columns."""
    lines = chest("compare", "1.4.0", "1.5.0", env={"COLUMNS": "80"}).stdout.splitlines()
    assert lines[0].startswith("A: 1.4.0, 500 requests, ")
    assert [line.split()[0] for line in lines[4:]] == ["requests/s", "errors", "P50", "P95"]
    assert [line.split()[-1] for line in lines[4:]] == ["chance", "worse", "worse", "worse"]
    assert max(map(len, lines)) <= 80


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fail_on", "versions_given", "exit_code"),
    [
        (["p95"], ["1.4.0", "1.5.0"], 1),
        (["errors", "p50"], ["1.4.0", "1.5.0"], 1),
        (["any"], ["1.4.0", "1.5.0"], 1),
        (["any"], ["1.3.0", "1.4.0"], 0),
        (["any"], ["1.5.0", "1.4.0"], 0),
        ([], ["1.4.0", "1.5.0"], 0),
    ],
)
def test_a_gate(
    fail_on: list[str], versions_given: list[str], exit_code: int, versions: Path, chest: Callable[..., Result]
) -> None:
    """With --fail-on the exit status is 1 where B is worse, and only there; the figures are printed all the same."""
    options = [option for name in fail_on for option in ("--fail-on", name)]
    result = chest("compare", *versions_given, *options)
    assert result.exit_code == exit_code
    assert "P95 ms" in result.stdout
    assert ("B is worse in" in result.stderr) == bool(exit_code)


def test_what_cannot_be_compared(versions: Path, chest: Callable[..., Result]) -> None:
    """What is no version and no time says which there are; a side without requests is an error."""
    result = chest("compare", "1.4.0", "9.9")
    assert result.exit_code == 2
    assert "or a version: the store has 1.3.0, 1.4.0, 1.5.0" in result.stderr.replace("\n", " ")
    result = chest("compare", "2020-01-01", "1h")
    assert result.exit_code == 1
    assert "no request of 2020-01-01 is in the store" in result.stderr


def test_versions_where_none_is_recorded(shop: Path, chest: Callable[..., Result]) -> None:
    """Where the store has no version, the message says how an application names its own."""
    result = chest("compare", "1.4.0", "1.5.0")
    assert result.exit_code == 2
    assert "FlaskChest(app, version=...) records it" in result.stderr.replace("\n", " ")


def test_few_requests(shop: Path, chest: Callable[..., Result]) -> None:
    """With a handful of requests the figures are there, and no verdict."""
    lines = chest("compare", "3h..35m", "35m").stdout.splitlines()
    assert [line[-14:] for line in lines[4:] if line.startswith("P")] == ["too few to say"] * 2
