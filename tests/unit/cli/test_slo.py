"""``flask chest slo``: list, suggest, render; the rules themselves are played in ``tests/collector``."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from flask_chest_otel import SLO, FlaskChest, flask_chest
from flask_chest_otel._slo.burn import ALERTS
from flask_chest_otel._slo.render import RUNBOOK, TARGETS
from tests.backends.require import REPOSITORY

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
    FlaskChest(app, tracked_vars=["plan", "outcome"], slos=[CHECKOUT, CART], export="store")
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


def test_render_knows_how_a_variable_is_called(app: Flask, chest: Callable[..., Result]) -> None:
    """The dashboard tells series apart by the label of the attribute that the application chose for the variable."""
    FlaskChest(app, tracked_vars=["plan", "outcome"], slos=[CART], attribute_prefix="app.")
    dashboard = json.loads(chest("slo", "render", "--target", "grafana").stdout)
    (expression,) = [
        one["expr"] for panel in dashboard["panels"] for one in panel["targets"] if "increase" in one["expr"]
    ]
    assert "sum by (flask_chest_slo_result, app_plan)" in expression


@pytest.mark.process
def test_render_prints_what_it_would_write(tmp_path: Path) -> None:
    """Printed where the locale has other characters, a service's name is the same as in a file."""
    (tmp_path / "shop.py").write_text(
        "from flask import Flask\nfrom flask_chest_otel import SLO, FlaskChest\n"
        "app = Flask('shop')\nFlaskChest(app, slos=[SLO('checkout', objective=99)])\n"
    )
    command = [sys.executable, "-m", "flask", "--app", "shop", "chest", "slo", "render", "--service", "\u5546\u5e97"]
    command += ["--target", "prometheus"]
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    printed = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, check=True).stdout
    subprocess.run([*command, "-o", "rules"], cwd=tmp_path, env=environ, capture_output=True, check=True)
    (written,) = (tmp_path / "rules").iterdir()
    assert printed.decode("utf-8") == written.read_text(encoding="utf-8")
    assert 'job=~"(.+/)?\u5546\u5e97"' in printed.decode("utf-8")


def test_render_says_what_to_type(with_slos: Flask, chest: Callable[..., Result], tmp_path: Path) -> None:
    """Without a target, with one that there is not, and where a file is in the way."""
    assert "--target NAME, where NAME is one of prometheus" in chest("slo", "render").output
    assert "Did you mean 'prometheus'?" in chest("slo", "render", "--target", "prometeus").output
    (tmp_path / "file").touch()
    result = chest("slo", "render", "--target", "prometheus", "-o", str(tmp_path / "file" / "x"))
    assert (result.exit_code, "type -o DIR" in result.output) == (1, True)


@pytest.mark.parametrize(
    "address", ["foo", "hooks.example.com/shop", "ftp://h/x", "http://", "http://h/a b", "http://["]
)
def test_render_refuses_what_no_webhook_has(with_slos: Flask, chest: Callable[..., Result], address: str) -> None:
    """Nothing could be sent there: the sentence says what an address looks like."""
    result = chest("slo", "render", "--target", "influxdb", "--notify", address)
    assert result.exit_code == 2
    assert "is no HTTP address: type https://hooks.example.com/shop" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("target", "option", "said"),
    [
        (
            "prometheus",
            ("--notify", "http://h/x"),
            "--notify changes nothing for prometheus: type --target influxdb, too",
        ),
        ("grafana", ("--shorten", "60"), "type --target prometheus or --target influxdb, too"),
        ("openslo", ("--runbook", "https://wiki"), "type --target prometheus or --target splunk, too"),
        ("splunk", ("--bucket", "chest"), "type --target influxdb, too"),
    ],
)
def test_render_refuses_what_would_change_nothing(
    with_slos: Flask, chest: Callable[..., Result], target: str, option: tuple[str, ...], said: str
) -> None:
    """An option of another target is no silent wish; it is taken as soon as one target uses it."""
    result = chest("slo", "render", "--target", target, *option)
    assert (result.exit_code, said in " ".join(result.output.split())) == (2, True)


def test_render_takes_what_one_of_the_targets_uses(
    with_slos: Flask, chest: Callable[..., Result], tmp_path: Path
) -> None:
    """The dashboard knows no shortened times, the rules beside it do."""
    targets = ("--target", "grafana", "--target", "prometheus")
    assert chest("slo", "render", *targets, "--shorten", "60", "-o", str(tmp_path / "slo")).exit_code == 0


HOUR_S, DAY_S = 3600, 86400


def counted(moments: list[tuple[float, bool]], now_s: float, window_s: float) -> tuple[int, int]:
    """Good and bad ones of a window, counted one by one."""
    inside = [good for at_s, good in moments if now_s - window_s <= at_s < now_s]
    return inside.count(True), inside.count(False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_status_is_what_was_counted_one_by_one(
    seed: int,
    with_slos: Flask,
    fill: Callable[..., Path],
    record: Callable[..., RequestRecord],
    chest: Callable[..., Result],
) -> None:
    """Budget, burn rates and the end of the budget, of requests of 40 days, are those of a count of each request."""
    chance = random.Random(seed)
    minutes = [*(chance.uniform(5, 40 * 1440) for _ in range(1500)), *(chance.uniform(5, 300) for _ in range(500))]
    # None so near to the edge of a window that the time until the command runs could bring it across.
    edges = [60 * 24 * days for days in (1, 3, 7, 30)] + [60, 30, 120, 360]
    minutes = [at for at in minutes if all(abs(at - edge) > 1 for edge in edges)]
    now_s = time.time()
    moments = [(now_s - at * 60, chance.random() > 0.004) for at in minutes]
    fill(
        *[
            record(number, at, slos={"checkout": good, "other": False})
            for number, (at, (_, good)) in enumerate(zip(minutes, moments, strict=True))
        ]
    )
    checkout, cart = json.loads(chest("slo", "status", "--json").stdout)
    good, bad = counted(moments, now_s, 30 * DAY_S)
    # Before the last four days the store counts whole hours.
    assert checkout["good"] + checkout["bad"] == pytest.approx(good + bad, abs=5)
    assert checkout["bad"] == pytest.approx(bad, abs=1)
    left = 1 - checkout["bad"] / (checkout["good"] + checkout["bad"]) / 0.001
    assert checkout["budget_left"] == pytest.approx(left)
    for name, window_s in {"5m": 300, "30m": 1800, "1h": HOUR_S, "2h": 7200, "6h": 21600, "1d": DAY_S}.items():
        good, bad = counted(moments, now_s, window_s)
        assert checkout["burn_rates"][name] == pytest.approx(bad / (good + bad) / 0.001 if bad else 0.0)
    assert cart["budget_left"] == 1.0
    assert cart["spent_in_s"] is None


def test_when_a_budget_will_be_spent(
    with_slos: Flask, fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Of 2000 checkouts one was bad, half of the budget of 0.1 %: the other half lasts 7.5 days at a burn rate of 2.

    That is the rate of the last hour, in which one of 500 was bad. No alert fires at it: 0.05 % of three days' are less
    than 0.1 %, 0.2 % of a day's less than 0.3 %.
    """
    requests = [record(n, 2000, slos={"checkout": True}) for n in range(1500)]
    requests += [record(n, 20, slos={"checkout": n > 0}) for n in range(500)]
    fill(*requests)
    [status, _] = json.loads(chest("slo", "status", "--json").stdout)
    assert status["budget_left"] == pytest.approx(0.5)
    assert status["burn_rates"]["1h"] == pytest.approx(2.0)
    assert status["spent_in_s"] == pytest.approx(7.5 * DAY_S)
    assert status["firing"] == []
    head, checkout, cart = chest("slo", "status").stdout.splitlines()
    assert head.split() == ["NAME", "GOOD", "OF", "WANTED", "LEFT", "BURN", "SPENT", "IN"]
    assert checkout.split() == ["checkout", "99.95", "%", "2000", "99.9", "%", "50", "%", "2", "7.5", "days"]
    assert cart.split() == ["cart", "-", "0", "99.5", "%", "100", "%", "0", "-"]


def test_status_names_alerts_that_fire(
    with_slos: Flask, fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """When half of 200 checkouts of the last minutes were bad, all alerts fire and the budget is spent."""
    fill(*[record(n, 1, slos={"checkout": n % 2 == 0}) for n in range(200)])
    output = chest("slo", "status").stdout
    assert "spent" in output
    assert " ".join(output.splitlines()[3:]).replace(",", "").split() == ["checkout:", *ALERTS, "fire"]


def test_status_names_the_one_alert_that_fires(
    with_slos: Flask, fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Two of 1000 in three days, one of them just now: twice the budget, which only the last ticket minds."""
    fill(*[record(n, 2 if n < 500 else 2000, slos={"checkout": n not in (0, 600)}) for n in range(1000)])
    assert "checkout: FlaskChestSloTicketSlow fires" in " ".join(chest("slo", "status").stdout.split())


def test_check(
    with_slos: Flask, fill: Callable[..., Path], record: Callable[..., RequestRecord], chest: Callable[..., Result]
) -> None:
    """Nothing is wrong where routes are there and requests came; few that came are told, and none."""
    fill(*[record(n, 9, slos={"checkout": True, "cart": True}) for n in range(200)])
    assert chest("slo", "check").stdout == "Nothing is wrong with these objectives: checkout, cart.\n"
    fill(*[record(n, 5 * 1440, slos={"rare": True}) for n in range(3)])
    with_slos.extensions.clear()
    few = SLO("rare", objective=99)
    FlaskChest(with_slos, slos=[few, SLO("never", objective=99)], export="store")
    result = chest("slo", "check")
    said = " ".join(result.stdout.split())
    assert result.exit_code == 1
    assert "rare: 0 requests in 3d are too few for any alert" in said
    assert "never: the store has no request of it in 30 days" in said


def test_check_without_a_store(with_slos: Flask, chest: Callable[..., Result], tmp_path: Path) -> None:
    """Routes are right, and of requests nothing is known: that is said, and not that all is well."""
    result = chest("slo", "check")
    said = " ".join(result.stdout.split())
    assert result.exit_code == 0
    assert said == "Nothing is wrong with routes and variables, and no requests were looked at: checkout, cart."
    assert "Whether requests have come is not known: there is no store at" in result.stderr
    named = chest("slo", "check", "--store", str(tmp_path / "typed_wrong.sqlite3"))
    assert (named.exit_code, "there is no store at" in named.output) == (1, True)


def test_check_with_a_damaged_store(with_slos: Flask, fill: Callable[..., Path], chest: Callable[..., Result]) -> None:
    """A store that is there and cannot be read is an error, and no reason to be content."""
    fill().parent.mkdir(parents=True, exist_ok=True)
    fill().write_bytes(b"no database" * 1000)
    result = chest("slo", "check")
    assert (result.exit_code, "well" in result.stdout) == (1, False)


@pytest.mark.parametrize(
    ("slo", "sentence"),
    [
        ({"routes": ["/chekout"]}, "a: no route of the application is '/chekout': did you mean '/checkout'?"),
        ({"routes": ["/nothing/*"]}, "a: no route of the application is '/nothing/*'"),
        (
            {"routes": ["/checkout"], "methods": ["GET"]},
            "a: its routes do not take GET: type methods=[…]",
        ),
    ],
)
def test_check_of_routes(app: Flask, chest: Callable[..., Result], slo: dict[str, list[str]], sentence: str) -> None:
    """A route or method that the application does not have is told, with what may be meant."""
    FlaskChest(app, slos=[SLO("a", objective=99, **slo)], export="store")  # type: ignore[arg-type]
    app.add_url_rule("/checkout", view_func=lambda: "ok", endpoint="checkout", methods=["POST"])
    result = chest("slo", "check")
    assert (result.exit_code, sentence in " ".join(result.stdout.split())) == (1, True)
    assert "Whether requests have come is not known" in result.stderr


@pytest.mark.parametrize("slo", [{"by": "paln"}, {"bad_when": {"paln": ["free"]}}])
def test_check_of_variables(app: Flask, chest: Callable[..., Result], slo: dict[str, Any]) -> None:
    """A variable that no route tracks is told, with what may be meant; one that a single view tracks is known."""
    FlaskChest(app, slos=[SLO("a", objective=99, **slo), SLO("b", objective=99, by="plan")], export="store")
    app.add_url_rule("/checkout", view_func=flask_chest("plan")(lambda: "ok"), endpoint="checkout")
    result = chest("slo", "check")
    said = " ".join(result.stdout.split())
    assert result.exit_code == 1
    assert f"SLO('a', {next(iter(slo))})='paln' cannot be used" in said
    assert "a variable that some route tracks (did you mean 'plan'?)" in said
    assert "'b'" not in said


@pytest.mark.parametrize("command", ["list", "status", "suggest"])
def test_output_has_exactly_the_documented_fields(
    command: str,
    with_slos: Flask,
    fill: Callable[..., Path],
    record: Callable[..., RequestRecord],
    chest: Callable[..., Result],
) -> None:
    """Every field that is printed is in the schema, with its type; every field of the schema is printed."""
    fill(*[record(n, 1, route="/rare" if n % 9 == 0 else "/often", slos={"checkout": n > 9}) for n in range(400)])
    schema = json.loads((REPOSITORY / "docs/reference/commands.schema.json").read_text("utf-8"))
    validator = Draft202012Validator({**schema, "$ref": f"#/$defs/slo_{command}"})
    document = json.loads(chest("slo", command, "--json").stdout)
    assert document
    assert [error.message for error in validator.iter_errors(document)] == []


def test_every_alert_has_a_runbook() -> None:
    """A heading for each, where its address leads."""
    page = (REPOSITORY / RUNBOOK).read_text("utf-8")
    assert re.findall(r"^### (FlaskChest\w+)$", page, re.MULTILINE) == list(ALERTS)
    for name in ALERTS:
        assert f"[{name}](#{name.lower()})" in page
