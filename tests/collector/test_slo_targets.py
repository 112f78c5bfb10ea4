"""Objectives for back ends beside Prometheus: checked by the program that knows the format, or run by the server."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from flask_chest_otel import SLO
from flask_chest_otel._slo.render import TARGETS, Rendering
from tests.backends.grafana import Viewer, targets
from tests.backends.influxdb2 import InfluxDB2
from tests.backends.prometheus import Prometheus
from tests.backends.require import require_built, require_installed
from tests.backends.server import request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHECKOUT = SLO("checkout", objective=99.9, routes=["/checkout"], min_requests=20)
CART = SLO("cart.v2", objective=99.5, routes=["/cart/*"], by="plan", window_days=7)
SHOP = Rendering("Shop é 'quoted' \"twice\"", [CHECKOUT, CART])
SHORTEN = 12
STEP_S = 60 // SHORTEN


@pytest.mark.real
@pytest.mark.parametrize("service", ["shop", SHOP.service])
def test_openslo_says_valid(tmp_path: Path, service: str) -> None:
    """OpenSLO's own program finds every document valid, and there is one of each kind that was asked for."""
    ((name, text),) = TARGETS["openslo"].files(Rendering(service, [CHECKOUT, CART])).items()
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [str(require_built("oslo")), "validate", "-f", str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "Valid!"), done.stdout + done.stderr
    kinds = [document["kind"] for document in yaml.safe_load_all(text)]
    assert sorted(kinds) == ["AlertPolicy"] * 8 + ["SLO"] * 2 + ["Service"]


@pytest.mark.parametrize(
    ("service", "names"),
    [
        ("shop", ["check.out", "check-out", "check_out"]),
        ("shop", ["a" * 63 + "1", "a" * 63 + "2"]),
        ("\u5546\u5e97", ["checkout"]),
    ],
)
def test_openslo_names_stay_apart(service: str, names: list[str]) -> None:
    """Documents of one kind have names of their own, also where only signs or the end tell objectives apart."""
    (text,) = TARGETS["openslo"].files(Rendering(service, [SLO(name, objective=99) for name in names])).values()
    found = [(one["kind"], one["metadata"]["name"]) for one in yaml.safe_load_all(text)]
    assert len(set(found)) == len(found) == 1 + 5 * len(names)
    assert all(re.fullmatch("[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for _, name in found)


@pytest.mark.real
@pytest.mark.parametrize("service", ["shop \U0001f600", "\u5546\u5e97"])
def test_prometheus_takes_any_service_name(tmp_path: Path, service: str) -> None:
    """Prometheus' own tool reads rules of a service whose name has other characters, and the name is the same."""
    (text,) = TARGETS["prometheus"].files(Rendering(service, [CHECKOUT])).values()
    path = tmp_path / "slo.rules.yaml"
    path.write_text(text, encoding="utf-8")
    tool = require_installed("promtool", "prometheus")
    done = subprocess.run([str(tool), "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]
    assert {rule["labels"]["service"] for rule in rules if "alert" in rule} == {service}


def templated() -> Rendering:
    """Signs that are the beginning of a template or a variable somewhere, in a name and an address."""
    return Rendering("s${HOME}h{{x}}{{{p $datasource", [CHECKOUT], runbook="https://wiki/{{ .Values.page }}")


@pytest.mark.real
def test_prometheus_takes_braces_as_they_are(tmp_path: Path) -> None:
    """To Prometheus labels and annotations are templates: an alert that fires has the name and address as they are."""
    rendering = templated()
    (text,) = TARGETS["prometheus"].files(rendering).values()
    (tmp_path / "slo.rules.yaml").write_text(text, encoding="utf-8")
    series = [
        {
            "series": "flask_chest_slo_requests_total{"
            f"job={json.dumps(rendering.service)}, instance='i', flask_chest_slo_name='checkout',"
            f" flask_chest_slo_result='{result}'}}",
            "values": "0+10x90",
        }
        for result in ("good", "bad")
    ]
    annotations = {
        "summary": "checkout spends its budget more than 14.4 times as fast as it may",
        "description": "In the last 1h 50% of the requests were bad, and no better in the last 5m. The objective is"
        " 99.9 % good in 30 days.",
        "runbook_url": f"{rendering.runbook}#flaskchestslopagefast",
    }
    labels = {"severity": "page", "service": rendering.service, "slo": "checkout"}
    labels |= {"job": rendering.service, "flask_chest_slo_name": "checkout"}
    alert = {"exp_labels": labels, "exp_annotations": annotations}
    rule_test = {
        "eval_time": "80m",
        "alertname": "FlaskChestSloPageFast",
        "exp_alerts": [alert],
    }
    tests = {"interval": "1m", "input_series": series, "alert_rule_test": [rule_test]}
    played = {"rule_files": ["slo.rules.yaml"], "evaluation_interval": "1m", "tests": [tests]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(played, allow_unicode=True), encoding="utf-8")
    tool = require_installed("promtool", "prometheus")
    done = subprocess.run(
        [str(tool), "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_has_nothing_to_put_in() -> None:
    """Grafana's variables, as it finds them itself, are those of the dashboard alone: none comes from a name."""
    (text,) = TARGETS["grafana"].files(templated()).values()
    expressions = [one["expr"] for panel in json.loads(text)["panels"] for one in panel["targets"]]
    variable = r"\$(\w+)|\[\[([\s\S]+?)(?::(\w+))?\]\]|\$\{(\w+)(?:\.([^:^}]+))?(?::([^}]+))?\}"
    found = {match.group() for one in expressions for match in re.finditer(variable, one)}
    assert found == {"$__rate_interval"}


def test_openslo_in_figures() -> None:
    """Targets, windows and burn rates are those of the objectives."""
    (text,) = TARGETS["openslo"].files(SHOP).values()
    documents = list(yaml.safe_load_all(text))
    (first, second) = (one["spec"] for one in documents if one["kind"] == "SLO")
    assert (first["objectives"][0]["target"], second["objectives"][0]["target"]) == (0.999, 0.995)
    assert (first["timeWindow"][0]["duration"], second["timeWindow"][0]["duration"]) == ("30d", "7d")
    policies = {one["metadata"]["name"]: one["spec"] for one in documents if one["kind"] == "AlertPolicy"}
    assert set(first["alertPolicies"] + second["alertPolicies"]) == set(policies)
    conditions = [policies[name]["conditions"][0]["spec"]["condition"] for name in first["alertPolicies"]]
    assert [(one["threshold"], one["lookbackWindow"]) for one in conditions] == [
        (14.4, "1h"),
        (6.0, "6h"),
        (3.0, "1d"),
        (1.0, "3d"),
    ]


SIGNALFLOW = {"data": {"filter", "rollup", "extrapolation"}, "filter": set(), "detect": set(), "when": set()}
SIGNALFLOW |= {"threshold": set(), "sum": {"over"}, "publish": set()}
"""Functions and methods of SignalFlow that may be used, each with its named arguments; all stand in its library."""


def test_signalflow_parses() -> None:
    """The program, whose grammar is Python's, uses nothing but functions of SignalFlow, and publishes each label."""
    files = TARGETS["splunk"].files(SHOP)
    (program,) = (text for name, text in files.items() if name.endswith(".signalflow"))
    (detector,) = (json.loads(text) for name, text in files.items() if name.endswith("detector.json"))
    tree = ast.parse(program)
    published = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id  # type: ignore[attr-defined]
        assert {keyword.arg for keyword in call.keywords} <= SIGNALFLOW[name]
        if name == "publish":
            published.append(ast.literal_eval(call.args[0]))
        if name == "filter" and ast.literal_eval(call.args[0]) == "service.name":
            assert ast.literal_eval(call.args[1]) == SHOP.service
    names = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    assert len(names) == len(set(names))
    assert detector["programText"] == program
    assert [rule["detectLabel"] for rule in detector["rules"]] == published
    assert {rule["severity"] for rule in detector["rules"]} == {"Critical", "Warning"}


def test_splunk_objectives() -> None:
    """Bodies for the API have the objective, its days, and labels that their program publishes."""
    bodies = [json.loads(text) for name, text in TARGETS["splunk"].files(SHOP).items() if name.endswith("-slo.json")]
    targets = [body["targets"][0] for body in bodies]
    assert [(one["slo"], one["compliancePeriod"]) for one in targets] == [(99.9, "30d"), (99.5, "7d")]
    for body in bodies:
        ast.parse(body["inputs"]["programText"])
        for label in ("goodEventsLabel", "totalEventsLabel"):
            assert f".publish('{body['inputs'][label]}')" in body["inputs"]["programText"]
    (rule,) = targets[0]["sloAlertRules"][0]["rules"]
    assert rule["parameters"] == {
        "shortWindow1": "5m",
        "longWindow1": "1h",
        "shortWindow2": "30m",
        "longWindow2": "6h",
        "burnRateThreshold1": 14.4,
        "burnRateThreshold2": 6.0,
    }


class _Traffic:
    """What a process of the application counts, written as the collector writes it."""

    def __init__(self, server: InfluxDB2, service: str) -> None:
        self._server, self._tags = server, service.replace(" ", "\\ ").replace(",", "\\,").replace("=", "\\=")
        self.counts = {"good": 0, "bad": 0}

    def serve(self, good: int, bad: int) -> None:
        """Count requests, and write both counters."""
        self.counts["good"] += good
        self.counts["bad"] += bad
        lines = [
            f"flask_chest.slo.requests,service.name={self._tags},service.instance.id=i1,"
            f"flask_chest.slo.name=checkout,flask_chest.slo.result={result} counter={count}"
            for result, count in self.counts.items()
        ]
        address = f"/api/v2/write?org={self._server.org}&bucket={self._server.bucket}"
        headers = {"Authorization": f"Token {self._server.token}"}
        status, answer = request(self._server.url + address, "\n".join(lines).encode(), headers=headers)
        assert status == 204, answer


def _levels(server: InfluxDB2) -> list[dict[str, str]]:
    return server.flux(
        'from(bucket: "_monitoring") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "statuses"'
        ' and r._field == "_message" and r.slo == "checkout") |> group() |> sort(columns: ["_time"])'
    )


def _until(traffic: Callable[[], None], server: InfluxDB2, alert: str, level: str, within_s: float) -> None:
    """Serve until an alert has a level."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        traffic()
        time.sleep(1)
        newest = [row["_level"] for row in _levels(server) if row["alert"] == alert]
        if newest and newest[-1] == level:
            return
    pytest.fail(f"{alert} is not {level}: {[(row['alert'], row['_level']) for row in _levels(server)][-12:]}")


@pytest.mark.real
def test_influxdb_wakes_somebody(tmp_path: Path) -> None:
    """Applied to a real InfluxDB, statuses turn ``crit`` when requests fail, and ``ok`` when they no longer do."""
    require_built("influxd")
    service = 'sh"op \u00e9, one ${bucket} $s {{x}}'
    with InfluxDB2(tmp_path) as server:
        rendering = Rendering(service, [CHECKOUT], SHORTEN, notify="http://127.0.0.1:9/alerts", bucket=server.bucket)
        (text,) = TARGETS["influxdb"].files(rendering).values()
        apply(server, list(yaml.safe_load_all(text)))
        traffic = _Traffic(server, service)
        traffic.serve(0, 0)
        _until(lambda: traffic.serve(10, 0), server, "FlaskChestSloPageFast", "ok", 120)
        _until(lambda: traffic.serve(5, 5), server, "FlaskChestSloPageFast", "crit", 120)
        _until(lambda: traffic.serve(10, 0), server, "FlaskChestSloPageFast", "ok", 180)
        minutes = server.flux(
            'from(bucket: "chest") |> range(start: -1h) |> filter(fn: (r) => r._measurement == "flask_chest.slo.minute"'
            ' and r.result == "bad") |> group() |> sum()'
        )
        bad = traffic.counts["bad"]
        assert [float(row["_value"]) for row in minutes] == [bad]
        warned = {row["_level"] for row in _levels(server) if row["severity"] == "ticket"}
        assert "warn" in warned


class _Counting(BaseHTTPRequestHandler):
    """A process of the application: each look at it finds more requests, one in ten of them bad."""

    looks = 0

    def do_GET(self) -> None:
        type(self).looks += 1
        lines = [
            f'flask_chest_slo_requests_total{{flask_chest_slo_name="{name}",flask_chest_slo_result="{result}",'
            f'flask_g_plan="gold",instance="i1"}} {self.looks * each}'
            for name in ("checkout", "cart.v2")
            for result, each in (("good", 9), ("bad", 1))
        ]
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write("\n".join(["# TYPE flask_chest_slo_requests_total counter", *lines, ""]).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.real
def test_grafana_has_something_to_show(tmp_path: Path) -> None:
    """Each query of the dashboard is answered by a real Prometheus with the rules, with the figures of the traffic."""
    require_installed("prometheus", "prometheus")
    rendering = Rendering("shop", [CHECKOUT, CART], 60, attributes={CART.name: "flask.g.plan"})
    rules = tmp_path / "rules-slo.yaml"
    rules.write_text(*TARGETS["prometheus"].files(rendering).values())
    dashboard = json.loads(*TARGETS["grafana"].files(rendering).values())
    process = ThreadingHTTPServer(("127.0.0.1", 0), _Counting)
    threading.Thread(target=process.serve_forever, daemon=True).start()
    scrape = f"127.0.0.1:{process.server_port}"
    begun = int(time.time())
    with Prometheus(tmp_path / "prometheus", scrape=scrape, job="shop", plain_rules=[rules]) as server:
        until = time.monotonic() + 90
        while time.monotonic() < until and len(server.query("flask_chest:slo_budget:left")) < 2:
            time.sleep(1)
        time.sleep(5)
        viewer = Viewer(begun, int(time.time()), choices={"datasource": "any"})
        found = {name: viewer.promql(server, target) for name, target in targets(dashboard)}
    process.shutdown()
    process.server_close()
    assert len(found) == 2 * (1 + 4 + 1)
    for name, series in found.items():
        assert series, name
        value = float(series[0]["values"][-1][1])
        if "budget left" in name:
            budget = CHECKOUT.budget if name.startswith("checkout") else CART.budget
            assert value == pytest.approx(1 - 0.1 / budget, rel=0.02)
        if "burn rate" in name:
            assert value > 10
    (first, second) = found["cart.v2: good and bad A"]
    assert {first["metric"]["flask_chest_slo_result"], second["metric"]["flask_chest_slo_result"]} == {"good", "bad"}
    assert first["metric"]["flask_g_plan"] == "gold"


def apply(server: InfluxDB2, resources: list[Any]) -> None:
    """What ``influx apply`` asks of the server."""
    headers = {"Authorization": f"Token {server.token}", "Content-Type": "application/json"}
    _, orgs = request(f"{server.url}/api/v2/orgs", headers=headers)
    body = {"orgID": json.loads(orgs)["orgs"][0]["id"], "template": {"contents": resources}}
    status, answer = request(f"{server.url}/api/v2/templates/apply", json.dumps(body).encode(), headers=headers)
    assert status == 201, answer.decode()
