"""Errors and P95 by plan, asked of a real Prometheus and a real InfluxDB, are what was served."""

from __future__ import annotations

import math
import random
import time
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, g, request
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from flask_chest_otel import SLO, FlaskChest, TrackedVar
from flask_chest_otel.tracked import SECONDS_BUCKETS
from tests.backends.prometheus import Prometheus
from tests.backends.require import require_installed
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

PLANS = {"free": 0.08, "gold": 0.002}
"""Plan to the longest that its requests wait, seconds."""

NEVER_MS = 86_400_000
SLACK_S = 0.002
"""What the clock around the application sees more than the one inside it."""


class Served:
    """What customers saw: how long each request took, and which failed, by plan."""

    def __init__(self, url: str) -> None:
        self.took_s: dict[str, list[float]] = {plan: [] for plan in PLANS}
        self.failed = dict.fromkeys(PLANS, 0)
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics"), export_interval_millis=NEVER_MS)
        self.meters = MeterProvider([reader], Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
        self.app = self._app()
        self._wsgi = self.app.wsgi_app
        self.app.wsgi_app = self._timed  # type: ignore[method-assign]  # as middleware is put on

    def _app(self) -> Flask:
        app = Flask("shop")
        app.testing = True
        slos = [SLO("shop", objective=99, by="plan")]
        tracked = [TrackedVar("plan", dimension=True)]
        FlaskChest(app, meter_provider=self.meters, server_span="chest", tracked_vars=tracked, slos=slos)

        @app.get("/buy")
        def buy() -> tuple[str, int]:
            time.sleep(float(request.args["wait"]))
            return "ok", int(request.args["status"])

        @app.after_request
        def late(response: Response) -> Response:
            g.plan = request.args["plan"]
            return response

        return app

    def _timed(self, environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        began = time.perf_counter()
        answer: Iterable[bytes] = self._wsgi(environ, start_response)
        self.took_s[environ["QUERY_STRING"].partition("plan=")[2]].append(time.perf_counter() - began)
        return answer

    def serve(self, requests: int) -> None:
        chance, client = random.Random(1), self.app.test_client()
        for number in range(requests):
            plan = "free" if number % 3 == 0 else "gold"
            status = 500 if number % (5 if plan == "free" else 17) == 0 else 200
            self.failed[plan] += status == 500
            client.get(f"/buy?wait={chance.uniform(0, PLANS[plan])}&status={status}&plan={plan}")
        self.meters.force_flush()

    def p95_lies_in(self, plan: str) -> tuple[float, float]:
        """Bounds of the buckets in which the P95 may be that customers saw."""
        took_s = sorted(self.took_s[plan])
        found = took_s[math.ceil(0.95 * len(took_s)) - 1]
        near = max(0, math.ceil(0.95 * len(took_s)) - 2)
        bounds = (0.0, *SECONDS_BUCKETS)
        low = bisect_left(bounds, took_s[near] - SLACK_S) - 1
        return bounds[max(0, low)], bounds[bisect_left(bounds, found)]


def test_prometheus(start_collector: StartCollector, tmp_path: Path) -> None:
    """PromQL over the one HTTP metric, and over the counts of the objective."""
    require_installed("prometheus", "prometheus")
    collector = start_collector("prometheus")
    scrape = f"127.0.0.1:{collector.env['PROMETHEUS_SCRAPE_PORT']}"
    with Prometheus(tmp_path / "prometheus", scrape=scrape) as server:
        served = Served(collector.otlp_http)
        served.serve(240)
        errors = 'sum(http_server_request_duration_seconds_count{{http_response_status_code="500",flask_g_plan="{}"}})'
        p95 = 'histogram_quantile(0.95, sum by (le) (http_server_request_duration_seconds_bucket{{flask_g_plan="{}"}}))'
        bad = 'sum(flask_chest_slo_requests_total{{flask_chest_slo_result="bad",flask_g_plan="{}"}})'
        for plan in PLANS:
            eventually(lambda: server.query(errors.format(plan)), [served.failed[plan]])  # noqa: B023 - in the loop
            eventually(lambda: server.query(bad.format(plan)), [served.failed[plan]])  # noqa: B023 - in the loop
            low, high = served.p95_lies_in(plan)
            (answer,) = server.query(p95.format(plan))
            assert low <= answer <= high
        assert served.p95_lies_in("gold")[1] < served.p95_lies_in("free")[1]


FLUX = """
    from(bucket: "chest") |> range(start: -1h)
        |> filter(fn: (r) => r._measurement == "http.server.request.duration" and r["flask.g.plan"] == "PLAN" FURTHER)
        |> last() |> group(columns: ["_field"]) |> sum()
"""


def test_influxdb(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """The same in Flux: counts of the buckets, which InfluxDB has as fields."""
    collector = start_collector("influxdb", env=influxdb.collector_env)
    served = Served(collector.otlp_http)
    served.serve(240)

    def fields(plan: str, further: str = "") -> dict[str, float]:
        rows = influxdb.flux(FLUX.replace("PLAN", plan).replace("FURTHER", further))
        return {row["_field"]: float(row["_value"]) for row in rows}

    for plan in PLANS:
        eventually(lambda: fields(plan).get("count"), float(len(served.took_s[plan])))  # noqa: B023 - in the loop
        assert fields(plan, 'and r["http.response.status_code"] == "500"')["count"] == served.failed[plan]
        buckets = {float(name): count for name, count in fields(plan).items() if name[0].isdigit()}
        most = 0.95 * len(served.took_s[plan])
        bound = min(bound for bound, count in buckets.items() if count >= most)
        low, high = served.p95_lies_in(plan)
        assert low < bound <= high
