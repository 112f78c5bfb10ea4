"""``flask chest slo``: list, suggest, render; the rules themselves are played in ``tests/collector``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from flask_chest_otel import SLO, FlaskChest
from flask_chest_otel._slo.render import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result
    from flask import Flask

    from flask_chest_otel._records.record import RequestRecord

CHECKOUT = SLO("checkout", objective=99.9, routes=["/checkout"], methods=["post"], latency_s=0.3)
CART = SLO("cart", objective=99.5, routes=["/cart/*"], bad_when={"outcome": ["declined"]}, by="plan", window_days=7)


@pytest.fixture
def with_slos(app: Flask) -> Flask:
    """The application with two objectives."""
    FlaskChest(app, slos=[CHECKOUT, CART], export="store")
    app.add_url_rule("/checkout", view_func=lambda: "ok", endpoint="checkout", methods=["POST"])
    app.add_url_rule("/cart/<int:cart_id>", view_func=lambda: "ok", endpoint="cart")
    return app


def test_list(with_slos: Flask, chest: Callable[..., Result]) -> None:
    """A row for each: what it asks for, over how many days, of which requests, and what is bad."""
    lines = chest("slo", "list").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["NAME", "GOOD", "DAYS", "REQUESTS", "BAD", "WHEN"],
        ["checkout", "99.9", "%", "30", "POST", "/checkout", "5xx,", "slower", "than", "0.3", "s"],
        ["cart", "99.5", "%", "7", "/cart/*", "5xx,", "outcome=declined"],
    ]
    found = json.loads(chest("slo", "list", "--json").stdout)
    assert [one["name"] for one in found] == ["checkout", "cart"]


@pytest.mark.parametrize("command", [("list",), ("render", "--target", "prometheus")])
def test_without_objectives(app: Flask, chest: Callable[..., Result], command: tuple[str, ...]) -> None:
    """The sentence says what to type: first a FlaskChest, then objectives."""
    result = chest("slo", *command)
    assert result.exit_code == 1
    assert "type FlaskChest(app) where it is made" in result.output
    FlaskChest(app)
    assert "type FlaskChest(app, slos=[SLO(" in chest("slo", *command).output


def test_an_impossible_objective_is_refused_where_it_is_defined(
    app: Flask, chest: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No alert could ever fire at 90 %: the command that loads the application says why, and ends with status 1."""
    monkeypatch.setenv("FLASK_CHEST_SLOS", '{"name": "a", "objective": 90}')

    def load() -> Flask:
        FlaskChest(app)
        return app

    from flask.cli import ScriptInfo  # noqa: PLC0415 - as an application's factory would fail

    result = chest("slo", "list", info=ScriptInfo(create_app=load))
    assert (result.exit_code, "could never fire" in result.output) == (1, True)


def test_suggest(fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]) -> None:
    """Of 2000 requests 3 failed, 0.15 %: twice that is 0.3 %, so 99.5 % is the strictest; it allows 10 to be bad.

    Half of 0.5 % are 5 requests, so 2 more may be slow: three took 80, 90 and 100 ms, so that 80 is the least bound,
    and 100 the next round number.
    """
    slow = {100: 0.08, 200: 0.09, 300: 0.1}
    fill(
        *[
            record(number, 1, duration_s=slow.get(number, 0.0099), status=500 if number < 3 else 200, route="/pay")
            for number in range(2000)
        ]
    )
    [found] = json.loads(chest("slo", "suggest", "--json").stdout)
    assert (found["requests"], found["failed"]) == (2000, 3)
    assert found["choice"] == {"name": "pay", "objective": 99.5, "latency_ms": 100.0, "slow": 0}
    lines = chest("slo", "suggest").stdout
    assert "failed (5xx): 3 / 2000 = 0.15 %" in lines
    assert "99.5 %: a budget of 0.5 %, 10.0 of these requests" in lines
    assert 'SLO("pay", objective=99.5, routes=["/pay"], methods=["GET"]' in lines
    assert max(map(len, lines.splitlines())) <= 80


def test_suggest_for_few_requests(shop: Path, chest: Callable[..., Result]) -> None:
    """Five requests can tell nothing, and those without a route are of no route's objective."""
    lines = chest("slo", "suggest").stdout
    assert "too few: of 200 requests or more, 95 % could be told." in " ".join(lines.split())
    assert "SLO(" not in lines


@pytest.mark.parametrize("target", TARGETS)
def test_render_into_a_folder(target: str, with_slos: Flask, chest: Callable[..., Result], tmp_path: Path) -> None:
    """Every file is told, and there."""
    result = chest("slo", "render", "--target", target, "-o", str(tmp_path / "new" / "rules"))
    assert result.exit_code == 0
    files = sorted((tmp_path / "new" / "rules").iterdir())
    assert files
    assert all(f"Wrote {path}" in result.stderr for path in files)


def test_render_names_the_service(
    with_slos: Flask, chest: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules look for the series of the service: as the application is called, as the environment or the option says."""
    assert 'job=~"(.+/)?shop"' in chest("slo", "render", "--target", "prometheus").stdout
    monkeypatch.setenv("OTEL_SERVICE_NAME", "store")
    assert 'job=~"(.+/)?store"' in chest("slo", "render", "--target", "prometheus").stdout
    given = chest("slo", "render", "--target", "prometheus", "--service", "a.b").stdout
    assert yaml.safe_load(given)["groups"][0]["name"] == "flask-chest-slo-a.b"
    assert r"a\\.b" in given


def test_render_says_what_to_type(with_slos: Flask, chest: Callable[..., Result], tmp_path: Path) -> None:
    """Without a target, with one that there is not, and where a file is in the way."""
    assert "--target NAME, where NAME is one of prometheus" in chest("slo", "render").output
    assert "Did you mean 'prometheus'?" in chest("slo", "render", "--target", "prometeus").output
    (tmp_path / "file").touch()
    result = chest("slo", "render", "--target", "prometheus", "-o", str(tmp_path / "file" / "x"))
    assert (result.exit_code, "type -o DIR" in result.output) == (1, True)
