"""Rules of objectives for Prometheus: Prometheus' own tool plays traffic; when alerts fire is reckoned by hand."""

from __future__ import annotations

import json
import subprocess
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from flask_chest_otel._slo.render import TARGETS, Rendering
from flask_chest_otel.slo import SLO
from tests.backends.require import require_installed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

pytestmark = pytest.mark.real

COUNTER = "flask_chest_slo_requests_total"
FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'
PAGE_FAST, PAGE_SLOW = "FlaskChestSloPageFast", "FlaskChestSloPageSlow"
TICKET_FAST, TICKET_SLOW = "FlaskChestSloTicketFast", "FlaskChestSloTicketSlow"
ALL = {PAGE_FAST, PAGE_SLOW, TICKET_FAST, TICKET_SLOW}
CHECKOUT = SLO("checkout", objective=99.9)
"""0.1 % may be bad. The alerts want 1.44 %, 0.6 %, 0.3 % and 0.1 % of at least 100 requests."""

Series = dict[str, str]


def series(values: str, result: str = "good", instance: str = "a", **more: str) -> Series:
    """What one process has counted, as promtool writes it: one value each interval."""
    labels = {"job": "shop", "instance": instance, "flask_chest_slo_name": "checkout", "flask_chest_slo_result": result}
    return {f"{COUNTER}{{{', '.join(f'{name}={json.dumps(text)}' for name, text in (labels | more).items())}}}": values}


def totals(*each: tuple[int, int]) -> str:
    """The counter's values where so many intervals had so many requests: ``(intervals, requests)``."""
    return " ".join(map(str, accumulate((0, *(requests for times, requests in each for _ in range(times))))))


class Player:
    """Plays series against the rules of an objective, one value each ``every_min`` minutes."""

    def __init__(self, folder: Path, slo: SLO, played: Series, every_min: int = 1) -> None:
        self._every_min = every_min
        self._tests: list[dict[str, Any]] = []
        self._played = [{"series": name, "values": values} for name, values in played.items()]
        self._folder = folder
        self.records: set[str] = set()
        for name, text in TARGETS["prometheus"].files(Rendering("shop", [slo])).items():
            (folder / name).write_text(text)
            rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
            self.records |= {rule["record"] for rule in rules if "record" in rule}

    def expect(self, minute: int, query: str, *answers: tuple[str, float]) -> None:
        """At that minute the query has these answers: labels and value."""
        samples = [{"labels": labels, "value": value} for labels, value in answers]
        self._tests.append({"expr": query, "eval_time": f"{minute}m", "exp_samples": samples})

    def firing(self, minutes: Iterable[int], *alerts: str) -> None:
        """In each of these minutes these alerts fire, and no other."""
        for minute in minutes:
            self.expect(minute, FIRING, *((f'{{alertname="{name}"}}', 1.0) for name in alerts))

    def run(self) -> None:
        """Play it."""
        every = f"{self._every_min}m"
        test = {"interval": every, "input_series": self._played, "promql_expr_test": self._tests}
        rules = [str(path) for path in self._folder.glob("*.rules.yaml")]
        path = self._folder / "test.yaml"
        # At one time promtool evaluates groups in any order, unless it is told.
        order = ["flask-chest-slo-shop", "flask-chest-slo-shop-budget"]
        document = {"rule_files": rules, "evaluation_interval": every, "group_eval_order": order, "tests": [test]}
        path.write_text(yaml.safe_dump(document))
        assert promtool("test", "rules", str(path)) == ""


def promtool(*arguments: str) -> str:
    """What it complains about."""
    tool = require_installed("promtool", "prometheus")
    done = subprocess.run([str(tool), *arguments], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def both(good: Sequence[tuple[int, int]], bad: Sequence[tuple[int, int]]) -> Series:
    return series(totals(*good)) | series(totals(*bad), "bad")


@pytest.mark.parametrize("shorten", [1, 60])
def test_promtool_takes_the_rules(shorten: int, tmp_path: Path) -> None:
    """Also those of several objectives, with odd names and windows, and with short times."""
    slos = [CHECKOUT, SLO("cart.x-1", objective=99.5, window_days=7), SLO("all", objective=95, window_days=3)]
    for name, text in TARGETS["prometheus"].files(Rendering("shop.a/b c", slos, shorten)).items():
        (tmp_path / name).write_text(text)
        assert promtool("check", "rules", str(tmp_path / name)) == ""


def test_a_sudden_total_outage(tmp_path: Path) -> None:
    """100 requests a minute; those of minutes 401 to 410 all fail.

    With b bad minutes so far, the first page wants b/60 > 1.44 %: b = 1, minute 401. The second b/360 > 0.6 %, that is
    b > 2.16: minute 403. The first ticket looks at a day, of which there are as yet as many minutes as have passed:
    1/401 is less than 0.3 %, 2/402 more: minute 402. The second b/401 > 0.1 %: minute 401. Each rests when minute 410
    has left its short window: after 5, 30, 120, 360 minutes, at 415, 440, 530, 770.
    """
    player = Player(tmp_path, CHECKOUT, both([(400, 100), (10, 0), (400, 100)], [(400, 0), (10, 100), (400, 0)]))
    player.firing(range(401))
    player.firing([401], PAGE_FAST, TICKET_SLOW)
    player.firing([402], PAGE_FAST, TICKET_FAST, TICKET_SLOW)
    player.firing(range(403, 415), *ALL)
    player.firing(range(415, 440), PAGE_SLOW, TICKET_FAST, TICKET_SLOW)
    player.firing(range(440, 530), TICKET_FAST, TICKET_SLOW)
    player.firing(range(530, 770), TICKET_SLOW)
    player.firing(range(770, 800))
    player.run()


def test_a_slow_burn(tmp_path: Path) -> None:
    """Of 1000 requests a minute 2 fail, twice the budget, from minute 61 to 500: a ticket of the slow kind, no other.

    After k bad minutes 2k of 1000 (60 + k) are bad, and more than 0.1 % of them when k > 60: minute 121. From 501 on
    its short window, 360 minutes, has 860 - t bad ones, at 679 181 of them: 362 of 360 000. At 680 there are 180, and
    360 of 360 000 are not more than 0.1 %.
    """
    player = Player(tmp_path, CHECKOUT, both([(60, 1000), (440, 998), (200, 1000)], [(60, 0), (440, 2), (200, 0)]))
    player.firing(range(121))
    player.firing(range(121, 680), TICKET_SLOW)
    player.firing(range(680, 700))
    player.run()


def test_a_short_blip(tmp_path: Path) -> None:
    """20 seconds of failures in six hours: 33 of 36 100 requests are 0.09 %, and nobody hears of it."""
    player = Player(tmp_path, CHECKOUT, both([(360, 100), (1, 67), (240, 100)], [(360, 0), (1, 33), (240, 0)]))
    player.firing(range(600))
    player.expect(361, "flask_chest:slo_errors:ratio1h", (labelled("flask_chest:slo_errors:ratio1h"), 33 / 6000))
    player.run()


def labelled(name: str, **more: str) -> str:
    labels = {"flask_chest_slo_name": "checkout", "job": "shop"} | more
    return f"{name}{{{', '.join(f'{key}={json.dumps(value)}' for key, value in labels.items())}}}"


def left(share: float) -> tuple[str, float]:
    return labelled("flask_chest:slo_budget:left", slo="checkout"), share


def test_a_quiet_month(tmp_path: Path) -> None:
    """30 days without a request, then one, which fails: no figure is NaN, the budget is whole, no alert fires."""
    day = 24 * 60
    player = Player(tmp_path, CHECKOUT, both([(30 * 48, 0), (10, 0)], [(30 * 48, 0), (1, 1), (9, 0)]), every_min=30)
    every = [0, 30, *range(day, 30 * day, 5 * day), 30 * day, 30 * day + 30, 30 * day + 90]
    player.firing(every)
    for minute in every:
        for name in player.records:
            player.expect(minute, f"{name} != {name}")
    for minute in every[2:-2]:
        player.expect(minute, "flask_chest:slo_budget:left", left(1.0))
        player.expect(minute, "flask_chest:slo_errors:ratio3d", (labelled("flask_chest:slo_errors:ratio3d"), 0.0))
    player.run()


@pytest.mark.parametrize(("least", "fires"), [(100, False), (10, True)])
def test_ten_requests_a_day(tmp_path: Path, least: int, fires: bool) -> None:
    """One every 144 minutes; the 40th, at minute 5760, fails: no alert says so, but where 10 requests are enough.

    Then both tickets do, as they look at 10 and 30 requests: 10 % and 3 % were bad. They rest when minute 5760 has left
    their short windows, 2 and 6 hours. The pages look at one and two requests.
    """
    beat = [(11, 0), (1, 1)]
    good, bad = beat * 39 + [(12, 0)] + beat * 3, [(39 * 12 + 11, 0), (1, 1), (36, 0)]
    player = Player(tmp_path, SLO("checkout", objective=99.9, min_requests=least), both(good, bad), every_min=12)
    player.firing(range(0, 5760, 12))
    player.firing(range(5760, 5880, 12), *[TICKET_FAST, TICKET_SLOW] * fires)
    player.firing(range(5880, 6120, 12), *[TICKET_SLOW] * fires)
    player.firing([6120, 6132])
    player.run()


def test_a_counter_reset(tmp_path: Path) -> None:
    """10 a minute for 30 minutes; a new beginning that is seen at 7; 10 a minute again: 300 + 7 + 29 * 10 = 597."""
    player = Player(tmp_path, CHECKOUT, series("0+10x30 7+10x60") | series("4x90", "bad"))
    hour = "flask_chest:slo_requests:total1h"
    player.expect(60, hour, (labelled(hour), 597.0))
    player.expect(90, hour, (labelled(hour), 600.0 - 3.0))
    player.firing(range(90))
    player.run()


@pytest.mark.parametrize("name", ["flask_g_plan"])
def test_what_processes_count_before_they_are_seen(tmp_path: Path, name: str) -> None:
    """A worker is first seen with 57 good and 3 bad ones, later with a new value of a dimension; it ends: all count.

    The worker that was there before the rules were has a million: that is where counting begins.
    """
    played = series("1000000x100") | series("5000x100", "bad")
    played |= series("_x10 57x9 60x5 stale", instance="b") | series("_x10 3x9 3x5 stale", "bad", instance="b")
    played |= series("_x20 40x5 stale", "bad", instance="b", **{name: "gold"})
    player = Player(tmp_path, CHECKOUT, played)
    hour, share = "flask_chest:slo_requests:total1h", "flask_chest:slo_errors:ratio1h"
    player.expect(9, hour, (labelled(hour), 0.0))
    player.expect(11, hour, (labelled(hour), 60.0))
    player.expect(40, hour, (labelled(hour), 103.0))
    player.expect(40, share, (labelled(share), 43 / 103))
    player.run()


def test_while_nobody_looked(tmp_path: Path) -> None:
    """A collector that is away for 40 minutes, while a process counts 400: they are there when it is back."""
    player = Player(tmp_path, CHECKOUT, series("0+10x20 _x40 610+10x60") | series("0x20 _x40 6x60", "bad"))
    hour = "flask_chest:slo_requests:total1h"
    player.expect(60, hour, (labelled(hour), 200.0))
    player.expect(61, hour, (labelled(hour), 190.0 + 410.0 + 6.0))
    player.run()


DAY, NIGHT = (24, 18000, 9), (24, 180, 18)
"""Half hours of twelve hours; requests in each, and how many of them are bad."""


def test_a_month_of_days_and_nights(tmp_path: Path) -> None:
    """By day 100 times as many requests as by night, when one in ten fails: the budget is right, to 0.1 %.

    30 days of 24 * (18000 + 180) requests, 24 * (9 + 18) of them bad: 0.1485 %. An objective of 99.5 % has 70.3 % of
    its budget left. The mean of the half hours' shares would be 5 %, ten times the budget.
    """
    good = [(steps, requests - bad) for steps, requests, bad in (DAY, NIGHT)] * 30
    bad = [(steps, bad) for steps, _, bad in (DAY, NIGHT)] * 30
    player = Player(tmp_path, SLO("checkout", objective=99.5), both(good, bad), every_min=30)
    share = (9 + 18) / (18000 + 180)
    expected = 1 - share / 0.005
    month = 30 * 24 * 60
    player.expect(month, f"abs(flask_chest:slo_budget:left / {expected!r} - 1) < bool 0.001", (PLAIN_LEFT, 1.0))
    player.expect(month, f"abs(flask_chest:slo_errors:ratio30d / {share!r} - 1) < bool 0.001", (PLAIN, 1.0))
    player.expect(
        month, "flask_chest:slo_requests:total30d", (labelled("flask_chest:slo_requests:total30d"), 30 * 24 * 18180.0)
    )
    player.run()


PLAIN, PLAIN_LEFT = labelled(""), labelled("", slo="checkout")


def test_alerts_say_what_they_are(tmp_path: Path) -> None:
    """Severity, service and objective are labels; each has a sentence, and an address that is told."""
    rendering = Rendering("shop", [CHECKOUT], runbook="https://wiki/objectives")
    [text] = TARGETS["prometheus"].files(rendering).values()
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    alerts: Mapping[str, Any] = {rule["alert"]: rule for rule in rules if "alert" in rule}
    assert set(alerts) == ALL
    for name, alert in alerts.items():
        severity = "page" if "Page" in name else "ticket"
        assert alert["labels"] == {"severity": severity, "service": "shop", "slo": "checkout"}
        assert alert["annotations"]["runbook_url"] == f"https://wiki/objectives#{name.lower()}"
