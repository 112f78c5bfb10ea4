"""The sample application with the plugin, to InfluxDB and Splunk at once: each gets what its routes mean for it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.backends.require import REPOSITORY
from tests.backends.sample import Sample
from tests.backends.splunk import TOKEN, SplunkIngest
from tests.backends.traffic import DURATION, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

SERVED = {"/api-endpoint": 30, "/influx": 5, "/signal": 6, "/open": 7}
POSTS = 20
FOR_INFLUXDB = {"/api-endpoint": 30, "/influx": 5, "/open": 7}
FOR_SPLUNK = {"/api-endpoint": 30, "/signal": 6, "/open": 7}
COUNTS = 'SELECT sum(c) AS n FROM (SELECT last("count") AS c FROM "{}" WHERE "http.route" != \'\' GROUP BY *) {}'
BY_ROUTE = 'GROUP BY "http.route"'


def rendered() -> str:
    """Return what the command line writes for the two targets and this application."""
    app = ["--app", "tests.backends.sample:create_app", "chest", "collector", "render"]
    command = [sys.executable, "-m", "flask", *app, "--target", "influxdb", "--target", "signalfx"]
    done = subprocess.run(command, cwd=REPOSITORY, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_influxdb(influxdb: InfluxDB2, metric: str) -> dict[str, int]:
    """Return how many values each route has, of a metric that is a histogram."""
    return {row["http.route"]: int(row["n"]) for row in influxdb.influxql(COUNTS.format(metric, BY_ROUTE))}


def in_splunk(splunk: SplunkIngest, metric: str) -> dict[str, int]:
    """Return the same as Splunk was told it."""
    routes = {point.dimensions.get("http.route", "") for point in splunk.datapoints(f"{metric}_count")} - {""}
    return {route: int(splunk.total(f"{metric}_count", http__route=route)) for route in routes}


def test_each_target_gets_what_is_meant_for_it(
    start_collector: StartCollector, influxdb: InfluxDB2, tmp_path: Path
) -> None:
    """Server spans, child spans, the chest's metrics and the HTTP metrics keep to `chests=`; the figures agree."""
    with SplunkIngest() as splunk:
        env = {"SPLUNK_INGEST_URL": splunk.url, "SPLUNK_API_URL": splunk.url, "SPLUNK_ACCESS_TOKEN": TOKEN}
        collector = start_collector(whole=rendered(), env={**env, **influxdb.collector_env})
        with Sample(tmp_path / "sample", collector.otlp_http) as sample:
            sample.visit("/api-endpoint", POSTS, method="POST")
            sample.visit("/api-endpoint", SERVED["/api-endpoint"] - POSTS)
            for route in ("/influx", "/signal", "/open"):
                sample.visit(route, SERVED[route])
            sample.stop()

        for metric in ("flask.g.transaction", DURATION):
            eventually(partial(in_influxdb, influxdb, metric), FOR_INFLUXDB)
            eventually(partial(in_splunk, splunk, metric), FOR_SPLUNK)

        def spans_in_influxdb() -> tuple[dict[str, int], int]:
            rows = influxdb.influxql('SELECT duration_nano, "span.name", "http.route" FROM spans')
            routes = [row["http.route"] for row in rows if row["http.route"]]
            return {route: routes.count(route) for route in routes}, [row["span.name"] for row in rows].count("query")

        eventually(spans_in_influxdb, (FOR_INFLUXDB, SERVED["/influx"] + SERVED["/open"]))

        def spans_in_splunk() -> tuple[dict[str, int], int]:
            spans = splunk.spans()
            routes = [span["attributes"]["http.route"] for span in spans if "http.route" in span["attributes"]]
            return {route: routes.count(route) for route in routes}, [span["name"] for span in spans].count("query")

        eventually(spans_in_splunk, (FOR_SPLUNK, SERVED["/signal"] + SERVED["/open"]))

        # The two indicators of the sample, as both targets know them.
        [row] = influxdb.influxql(
            """SELECT sum(s) AS s, sum(c) AS c FROM (SELECT last("sum") AS s, last("count") AS c
            FROM "flask.g.response_time" WHERE "http.request.method" = 'POST' GROUP BY *)"""
        )
        assert row["c"] == POSTS
        seconds = splunk.total("flask.g.response_time_sum", http__request__method="POST")
        assert splunk.total("flask.g.response_time_count", http__request__method="POST") == POSTS
        assert row["s"] == pytest.approx(seconds)
        assert seconds > 0
