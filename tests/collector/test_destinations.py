"""`flask.chests`: a route that names its destinations reaches these and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from flask_chest_otel._cli.collector import command
from tests.backends import jsonl
from tests.backends.log_traffic import LogTraffic
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.traffic import Traffic, eventually

if TYPE_CHECKING:
    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

ROUTES = {
    "everywhere": None,
    "influxdb": "influxdb",
    "file": "file",
    "both": "file,influxdb",
    "first-of-list": "file,signalfx",
    "last-of-list": "audit,influxdb",
    "other-name": "influxdb1",
    "longer-name": "myfile,xinfluxdb",
    "nowhere": "",
}
FOR_INFLUXDB = ["both", "everywhere", "influxdb", "last-of-list"]
FOR_FILE = ["both", "everywhere", "file", "first-of-list"]


def test_each_target_gets_its_own(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Server spans, child spans and metric points arrive where their route wants them; no list means everywhere."""
    collector = start_collector("influxdb", "file", env=influxdb.collector_env)
    with Traffic(collector.otlp_http) as traffic:
        for name, chests in ROUTES.items():
            traffic.request(name, {"cart_total": 1.0}, route=f"/{name}", chests=chests)
        traffic.flush()

        path = collector.folder / "telemetry.jsonl"
        eventually(lambda: len(jsonl.spans(path)), 2 * len(FOR_FILE))
        eventually(lambda: len(jsonl.points(path, "flask.g.cart_total")), len(FOR_FILE))
        by_id = {span["attributes"].get("flask.request_id") for span in jsonl.spans(path)} - {None}
        assert sorted(by_id) == FOR_FILE
        routes = [point["attributes"]["http.route"] for point in jsonl.points(path, "flask.g.cart_total")]
        assert sorted(routes) == [f"/{name}" for name in FOR_FILE]

        spans = 'SELECT "flask.request_id", attributes FROM spans'
        eventually(lambda: len(influxdb.influxql(spans)), 2 * len(FOR_INFLUXDB))
        found = {row["flask.request_id"] for row in influxdb.influxql(spans)} - {None}
        assert sorted(found) == FOR_INFLUXDB
        points = 'SELECT "count" FROM "flask.g.cart_total" GROUP BY "http.route"'
        eventually(
            lambda: sorted(row["http.route"] for row in influxdb.influxql(points)),
            [f"/{name}" for name in FOR_INFLUXDB],
        )


def test_child_spans_keep_to_the_list(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Not one span of a request that is for the file alone, child or server, is known to InfluxDB."""
    collector = start_collector("influxdb", "file", env=influxdb.collector_env)
    with Traffic(collector.otlp_http) as traffic:
        traffic.request("secret", {"iban": "DE02"}, chests="file")
        traffic.request("open", chests=None)
        traffic.flush()
        eventually(lambda: len(influxdb.influxql("SELECT duration_nano FROM spans")), 2)
        path = collector.folder / "telemetry.jsonl"
        eventually(lambda: len(jsonl.spans(path)), 4)
        ids = {span["attributes"].get("flask.request_id"): span["traceId"] for span in jsonl.spans(path)}
        known = {row["trace_id"] for row in influxdb.influxql("SELECT duration_nano, trace_id FROM spans")}
        assert known == {ids["open"]}


def test_each_service_has_its_targets(start_collector: StartCollector) -> None:
    """Spans, metrics and logs of a service with `--route` reach its targets alone; others reach all."""
    chosen = ["--target", "file", "--target", "otlp", "--route", 'sh"op=file', "--route", "audit=otlp"]
    done = CliRunner().invoke(command, ["render", *chosen])
    with OtlpReceiver() as receiver:
        collector = start_collector(whole=done.stdout, env={"OTLP_TARGET_URL": receiver.url})
        for service in ('sh"op', "audit", "sh"):
            with Traffic(collector.otlp_http, service=service) as traffic:
                traffic.request(f"of {service}", {"cart_total": 1.0}, route=f"/{service}")
                traffic.flush()
            LogTraffic(collector.otlp_http, service=service).send(f"of {service}")
        path = collector.folder / "telemetry.jsonl"

        def in_file() -> list[set[str]]:
            metrics = {point["attributes"]["http.route"] for point in jsonl.points(path, "flask.g.cart_total")}
            logs = {one["attributes"].get("flask.request_id") for one in jsonl.logs(path)}
            return [{str(one["attributes"].get("flask.request_id")) for one in jsonl.spans(path)}, metrics, logs]

        def at_receiver() -> list[set[str]]:
            metrics = {point["attributes"]["http.route"] for point in receiver.metrics("flask.g.cart_total")}
            logs = {str(one["attributes"].get("flask.request_id")) for one in receiver.logs()}
            return [{str(one["attributes"].get("flask.request_id")) for one in receiver.spans()}, metrics, logs]

        def expected(*services: str) -> list[set[str]]:
            ids = {f"of {service}" for service in services}
            return [ids | {"None"}, {f"/{service}" for service in services}, ids]

        eventually(in_file, expected('sh"op', "sh"))
        eventually(at_receiver, expected("audit", "sh"))


def test_a_route_to_nowhere_is_refused() -> None:
    """A target that is not chosen, and what is no route, are answered with what to type."""
    for route, says in (("shop=zipkin", "Type --target zipkin"), ("shop", "such as shop=influxdb")):
        done = CliRunner().invoke(command, ["render", "--target", "file", "--route", route])
        assert (done.exit_code, done.stdout) == (2, "")
        assert says in " ".join(done.stderr.split())
