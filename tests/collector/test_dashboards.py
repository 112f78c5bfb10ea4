"""Grafana's dashboards: every query of every file, asked in the real back ends, answers what the shop served."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest

from examples.shop import traffic
from tests.backends import jsonl
from tests.backends.collector import Collector
from tests.backends.grafana import Viewer, dashboard_files, load, targets
from tests.backends.influxdb2 import InfluxDB2
from tests.backends.prometheus import Prometheus
from tests.backends.require import require_built, require_installed
from tests.backends.server import free_port
from tests.backends.shop import Shop
from tests.backends.traffic import DURATION, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

INFLUXDB, REQUEST, PROMETHEUS, COLLECTOR = (
    "flask-chest-indicators-influxdb",
    "flask-chest-request-influxdb",
    "flask-chest-indicators-prometheus",
    "flask-chest-collector-prometheus",
)
RESPONSE_TIME = "flask.g.response_time"
VARIABLES = {RESPONSE_TIME: "flask_g_response_time_seconds", "flask.g.cart_total": "flask_g_cart_total"}
INTERVAL_S = 2
NO_ROUTE = "-"
STEPS = traffic.plan(300)

Key = tuple[str, str]
"""Route and method."""


@dataclass
class Group:
    """What some requests were: counted by the customers, timed by the application."""

    served: int = 0
    failed: int = 0
    seconds: float = 0.0
    buckets: dict[float, int] = field(default_factory=lambda: defaultdict(int))

    def quantile(self, share: float) -> float:
        """Interpolate in the buckets, as every back end does it."""
        rank, below, lower = share * sum(self.buckets.values()), 0, 0.0
        for bound, count in sorted(self.buckets.items()):
            if count and below + count >= rank:
                return lower if math.isinf(bound) else lower + (bound - lower) * (rank - below) / count
            below, lower = below + count, bound
        raise AssertionError("nothing was counted")

    def figures(self, length_s: int) -> dict[str, float]:
        """What the columns of the tables say."""
        return {
            "transactions": self.served,
            "rate": self.served / length_s,
            "error ratio": self.failed / self.served,
            "average": self.seconds / self.served,
            "p95": self.quantile(0.95),
            "p99": self.quantile(0.99),
        }


@dataclass
class Period:
    """A time range in which customers came."""

    viewer: Viewer
    answers: list[tuple[traffic.Step, traffic.Answer]]
    points: Callable[[str], list[dict[str, Any]]]
    """What the file target has got of a metric."""

    @property
    def length_s(self) -> int:
        """Length of the range."""
        return self.viewer.stop - self.viewer.start

    def groups(self, metric: str) -> dict[Key, Group]:
        """Requests by route and method: numbers from the customers, times and buckets as the application sent them."""
        found: dict[Key, Group] = defaultdict(Group)
        for key, point, sign in self._points(metric):
            group = found[key]
            group.seconds += sign * float(point["sum"])
            bounds = [*map(float, point["explicitBounds"]), math.inf]
            for bound, count in zip(bounds, point["bucketCounts"], strict=True):
                group.buckets[bound] += sign * int(count)
            group.served += sign * int(point["count"])
        for step, answer in self.answers:
            if metric == DURATION:
                found[step.route or NO_ROUTE, step.method].failed += answer.status >= 500
        return {key: group for key, group in found.items() if group.served}

    def _points(self, metric: str) -> Iterator[tuple[Key, dict[str, Any], int]]:
        """Yield the last point of each series in the range, and with a minus the last one before."""
        for until, sign in ((self.viewer.stop, 1), (self.viewer.start, -1)):
            last: dict[object, tuple[Key, dict[str, Any]]] = {}
            for point in self.points(metric):
                if int(point["timeUnixNano"]) < until * 1e9:
                    attributes = point["attributes"]
                    key = attributes.get("http.route", NO_ROUTE), attributes["http.request.method"]
                    series = (point["startTimeUnixNano"], *sorted(attributes.items()))
                    last[series] = key, point
            yield from ((key, point, sign) for key, point in last.values())

    def everything(self, metric: str) -> Group:
        """All requests in one group."""
        whole = Group()
        for group in self.groups(metric).values():
            whole.served += group.served
            whole.failed += group.failed
            whole.seconds += group.seconds
            for bound, count in group.buckets.items():
                whole.buckets[bound] += count
        return whole

    def customers(self) -> dict[Key, list[float]]:
        """What the customers were told: the response times of each route and method."""
        found: dict[Key, list[float]] = defaultdict(list)
        for step, answer in self.answers:
            assert answer.response_time_s is not None
            found[step.route or NO_ROUTE, step.method].append(answer.response_time_s)
        return found


@dataclass
class Scene:
    """Both back ends with the shop's traffic in them."""

    influxdb: InfluxDB2
    prometheus: Prometheus
    periods: dict[str, Period]
    quiet: Viewer
    """A range in which the shop was up and nobody came."""
    spans: list[dict[str, Any]]
    """What the file target has got of spans."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Serve customers, wait, serve more: the second period begins with processes that have counted already."""
    require_built("influxd")
    require_built("flask-chest-collector")
    require_installed("prometheus", "prometheus")
    folder = tmp_path_factory.mktemp("dashboards")
    scrape = str(free_port())
    with (
        InfluxDB2(folder / "influxdb") as influxdb,
        Collector(
            "influxdb",
            "prometheus",
            "file",
            folder=folder / "collector",
            env={**influxdb.collector_env, "PROMETHEUS_SCRAPE_PORT": scrape},
        ) as collector,
        Prometheus(folder / "prometheus", scrape=f"127.0.0.1:{scrape}") as prometheus,
        Shop(folder / "shop", collector.otlp_http) as shop,
    ):
        start = boundary()
        first = visit(shop, STEPS[:150])
        arrived(len(first), influxdb, prometheus)
        quiet = Viewer(boundary(), boundary() + 2 * INTERVAL_S, INTERVAL_S)
        time.sleep(quiet.stop - time.time())
        second = visit(shop, STEPS[150:])
        shop.stop()
        arrived(len(first) + len(second), influxdb, prometheus)
        path = collector.folder / "telemetry.jsonl"
        points = cache(partial(jsonl.points, path))
        stop = boundary()
        yield Scene(
            influxdb,
            prometheus,
            {
                "everything": Period(Viewer(start, stop, INTERVAL_S), [*first, *second], points),
                "the second half": Period(Viewer(quiet.stop, stop, INTERVAL_S), second, points),
            },
            quiet,
            jsonl.spans(path),
        )


def boundary() -> int:
    """Wait for a moment where a range may begin or end: whole windows, with nothing on its way; return it."""
    at = (int(time.time()) // INTERVAL_S + 1) * INTERVAL_S
    time.sleep(max(0.0, at - time.time()))
    return at


def visit(shop: Shop, steps: list[traffic.Step]) -> list[tuple[traffic.Step, traffic.Answer]]:
    """Send customers; return what was recorded."""
    done = traffic.run(steps, traffic.over_http(shop.url), 4)
    return [(step, answer) for step, answer in done if step.recorded]


def arrived(requests: int, influxdb: InfluxDB2, prometheus: Prometheus) -> None:
    total = f'SELECT sum(c) AS c FROM (SELECT last("count") AS c FROM "{DURATION}" GROUP BY *)'
    eventually(lambda: [row["c"] for row in influxdb.influxql(total)], [requests])
    eventually(lambda: prometheus.query("sum(http_server_request_duration_seconds_count)"), [requests])
    variable = f'SELECT sum(c) AS c FROM (SELECT last("count") AS c FROM "{RESPONSE_TIME}" GROUP BY *)'
    eventually(lambda: [row["c"] for row in influxdb.influxql(variable)], [requests])
    eventually(lambda: prometheus.query("sum(flask_g_response_time_seconds_count)"), [requests])


@pytest.fixture(params=["everything", "the second half"])
def period(request: pytest.FixtureRequest, scene: Scene) -> Period:
    return scene.periods[request.param]


@pytest.fixture
def half(scene: Scene) -> Period:
    """The harder one, for tests whose queries take long."""
    return scene.periods["the second half"]


class Answers:
    """Both back ends' answers to a panel, in one shape."""

    def __init__(self, scene: Scene, source: str, period: Period, variable: str = RESPONSE_TIME) -> None:
        self.scene, self.source, self.viewer = scene, source, period.viewer
        chosen = variable if source == INFLUXDB else VARIABLES[variable]
        self.viewer.choices = {"service": "shop", "variable": chosen}
        self.panels = {panel["title"]: panel for panel in load(source)["panels"]}

    def rows(self, title: str) -> list[dict[str, str]]:
        """All rows of a panel; those of Prometheus have the column that the panel gives them, else their legend's."""
        panel, found = self.panels[title], []
        for target in panel["targets"]:
            if self.source == INFLUXDB:
                found += self.viewer.flux(self.scene.influxdb, target["query"])
                continue
            column = self._column(panel, target)
            for series in self.viewer.promql(self.scene.prometheus, target):
                about = series["metric"]
                where = {
                    "route": about.get("http_route", NO_ROUTE),
                    "method": about.get("http_request_method", NO_ROUTE),
                    "variable": about.get("variable", ""),
                }
                found += [where | {"_time": str(at), column: value} for at, value in series["values"]]
        return found

    @staticmethod
    def _column(panel: dict[str, Any], target: dict[str, Any]) -> str:
        names = panel.get("transformations", [{}])[-1].get("options", {}).get("renameByName", {})
        legend = target.get("legendFormat", "")
        return str(names.get(f"Value #{target['refId']}", legend if legend.isalnum() else "_value"))

    def values(self, title: str, column: str = "_value") -> list[float]:
        """The numbers in one column."""
        return [value for row in self.rows(title) if not math.isnan(value := float(row.get(column) or math.nan))]

    def table(self, title: str) -> dict[Key, dict[str, float]]:
        """A table by route and method, with the columns of all its queries."""
        found: dict[Key, dict[str, float]] = defaultdict(dict)
        for row in self.rows(title):
            numbers = {key: value for key, value in row.items() if key not in ("route", "method", "variable", "_time")}
            found[row["route"], row["method"]] |= {key: float(value) for key, value in numbers.items() if value}
        return dict(found)


def close(figures: Mapping[Any, float]) -> Any:
    return pytest.approx(figures, rel=1e-9)


@pytest.mark.real
@pytest.mark.parametrize("source", [INFLUXDB, PROMETHEUS])
def test_figures_for_all_requests(source: str, scene: Scene, period: Period) -> None:
    """Total, error ratio, average and percentiles are what was served; the customers waited no longer than that."""
    answers, served = Answers(scene, source, period), period.everything(DURATION)
    expected = served.figures(period.length_s)
    assert answers.values("Transactions") == [len(period.answers)]
    assert served.served == len(period.answers)
    assert served.failed > 0
    assert answers.values("Error ratio") == [pytest.approx(expected["error ratio"])]
    assert answers.values("Average response time") == [pytest.approx(expected["average"])]
    assert expected["average"] > sum(map(sum, period.customers().values())) / served.served
    quantiles = answers.rows("p95 and p99")
    assert [float(row["p95"]) for row in quantiles if row.get("p95")] == [pytest.approx(expected["p95"])]
    assert [float(row["p99"]) for row in quantiles if row.get("p99")] == [pytest.approx(expected["p99"])]


@pytest.mark.real
@pytest.mark.parametrize("source", [INFLUXDB, PROMETHEUS])
def test_figures_by_route_and_method(source: str, scene: Scene, period: Period) -> None:
    """Each route and method has its line with what it served, pages that are not there too."""
    found = Answers(scene, source, period).table("Routes and methods")
    groups = period.groups(DURATION)
    assert found == {key: close(group.figures(period.length_s)) for key, group in groups.items()}
    assert {key: group.served for key, group in groups.items()} == {
        key: len(times) for key, times in period.customers().items()
    }


@pytest.mark.real
@pytest.mark.parametrize("source", [INFLUXDB, PROMETHEUS])
def test_rate_adds_up(source: str, scene: Scene, period: Period) -> None:
    """The rate of all windows, times their length, is the number of requests of each route and method."""
    found: dict[Key, float] = defaultdict(float)
    for row in Answers(scene, source, period).rows("Rate"):
        found[row["route"], row["method"]] += float(row["_value"]) * INTERVAL_S
    assert found == close({key: len(times) for key, times in period.customers().items()})


@pytest.mark.real
@pytest.mark.parametrize("source", [INFLUXDB, PROMETHEUS])
def test_response_time_over_time(source: str, scene: Scene, half: Period) -> None:
    """Averages weighted by the windows' requests give the time in all; percentiles lie around that of the range."""
    answers, whole = Answers(scene, source, half), half.everything(DURATION)
    requests: dict[str, float] = defaultdict(float)
    for row in answers.rows("Rate"):
        requests[row["_time"]] += float(row["_value"]) * INTERVAL_S
    rows = answers.rows("Response time")
    averages = {row["_time"]: float(row["average"]) for row in rows if row.get("average")}
    assert sum(average * requests[at] for at, average in averages.items()) == pytest.approx(whole.seconds)
    for share, name in ((0.95, "p95"), (0.99, "p99")):
        windows = answers.values("Response time", name)
        assert min(windows) <= whole.quantile(share) * 1.000001
        assert max(windows) >= whole.quantile(share) * 0.999999


@pytest.mark.real
@pytest.mark.parametrize("source", [INFLUXDB, PROMETHEUS])
@pytest.mark.parametrize("variable", VARIABLES)
def test_a_tracked_variable(source: str, variable: str, scene: Scene, half: Period) -> None:
    """Its count, average and percentiles by route and method, and its average over time."""
    answers = Answers(scene, source, half, variable)
    groups = half.groups(variable)
    figures = {key: group.figures(half.length_s) for key, group in groups.items()}
    for one in figures.values():
        del one["error ratio"]
    assert answers.table("${variable} by route and method") == {key: close(one) for key, one in figures.items()}
    if variable == RESPONSE_TIME:
        told = half.customers()
        assert {key: one["transactions"] for key, one in figures.items()} == {key: len(told[key]) for key in told}
        assert {key: one["average"] for key, one in figures.items()} == close(
            {key: sum(times) / len(times) for key, times in told.items()}
        )
    averages = answers.values("${variable}, average", "average")
    whole = half.everything(variable)
    assert min(averages) <= whole.seconds / whole.served * 1.000001
    assert max(averages) >= whole.seconds / whole.served * 0.999999


@pytest.mark.real
@pytest.mark.parametrize("source", [INFLUXDB, PROMETHEUS])
def test_counted_variables(source: str, scene: Scene, period: Period) -> None:
    """The shop's transactions, a counter, by route and method."""
    answers = Answers(scene, source, period)
    rows = answers.rows("Counted variables")
    assert {row["variable"] for row in rows} == (
        {"flask.g.transaction"} if source == INFLUXDB else {"flask_g_transaction_total"}
    )
    column = "total" if source == INFLUXDB else "_value"
    found = {(row["route"], row["method"]): float(row[column]) for row in rows}
    assert found == {key: len(times) for key, times in period.customers().items()}


@pytest.mark.real
@pytest.mark.parametrize("source", [INFLUXDB, PROMETHEUS])
def test_nobody_came(source: str, scene: Scene) -> None:
    """In a quiet time every query has an answer, and no figure is made up."""
    answers = Answers(scene, source, Period(scene.quiet, [], lambda _: []))
    assert answers.values("Transactions") == [0.0]
    for title in ("Error ratio", "Average response time", "Response time", "${variable}, average"):
        assert [row for row in answers.rows(title) if "NaN" not in row.values()] == [], title
    for title in ("Rate", "Counted variables", "Routes and methods", "${variable} by route and method"):
        numbers = {value for row in answers.table(title).values() for value in row.values() if not math.isnan(value)}
        assert numbers <= {0.0}, title


@pytest.mark.real
def test_one_request(scene: Scene) -> None:
    """By its id: what the customer was told, and every span of its trace."""
    period, dashboard = scene.periods["everything"], load(REQUEST)
    viewer = period.viewer
    [of_trace] = [one for one in dashboard["templating"]["list"] if one["name"] == "trace_id"]
    request, trace = (panel["targets"][0]["query"] for panel in dashboard["panels"])
    for step, answer in period.answers[-5:]:
        viewer.choices = {"request_id": str(answer.request_id)}
        [row] = viewer.flux(scene.influxdb, request)
        attributes = json.loads(row["attributes"])
        assert attributes[RESPONSE_TIME] == answer.response_time_s
        assert attributes["http.response.status_code"] == answer.status
        assert attributes["http.request.method"] == step.method
        assert row["http.route"] == (step.route or "")
        assert float(row["duration"]) / 1e9 >= (answer.response_time_s or math.inf)
        [found] = viewer.flux(scene.influxdb, of_trace["query"])
        assert found["_value"] == row["trace_id"]
        viewer.choices["trace_id"] = found["_value"]
        sent = [span for span in scene.spans if span["traceId"] == row["trace_id"]]
        spans = viewer.flux(scene.influxdb, trace)
        assert {span["span_id"] for span in spans} == {span["spanId"] for span in sent}
        assert len(spans) > 0
    viewer.choices = {"request_id": 'no"such'}
    assert viewer.flux(scene.influxdb, request) == []


@pytest.mark.real
def test_variables_offer_what_there_is(scene: Scene) -> None:
    """The shop, and its variables that are numbers."""
    viewer = scene.periods["everything"].viewer
    viewer.choices = {"service": "shop"}
    service, variable = load(INFLUXDB)["templating"]["list"]
    assert [row["_value"] for row in viewer.flux(scene.influxdb, service["query"])] == ["shop"]
    names = {row["_value"] for row in viewer.flux(scene.influxdb, variable["query"])}
    assert names == {*VARIABLES, "flask.g.rows"}
    service, variable = load(PROMETHEUS)["templating"]["list"]
    assert viewer.promql_variable(scene.prometheus, service) == ["shop"]
    assert set(viewer.promql_variable(scene.prometheus, variable)) == {*VARIABLES.values(), "flask_g_rows"}


def test_every_panel_is_asked() -> None:
    """The tests above name every panel of every dashboard."""
    asked = {
        "Transactions",
        "Error ratio",
        "Average response time",
        "p95 and p99",
        "Rate",
        "Response time",
        "Routes and methods",
        "${variable} by route and method",
        "Counted variables",
        "${variable}, average",
    }
    assert {panel["title"] for panel in load(INFLUXDB)["panels"]} == asked
    assert {panel["title"] for panel in load(PROMETHEUS)["panels"]} == asked
    assert len(load(REQUEST)["panels"]) == 2
    # The collector's own is asked in test_alerts.py.
    assert {path.stem for path in dashboard_files()} == {INFLUXDB, REQUEST, PROMETHEUS, COLLECTOR}


@pytest.mark.parametrize("name", [INFLUXDB, REQUEST, PROMETHEUS])
def test_dashboards_are_well_formed(name: str) -> None:
    """As Grafana wants it: ids of their own, panels that do not overlap, one data source, variables that exist."""
    dashboard = load(name)
    panels = dashboard["panels"]
    assert dashboard["uid"] == name
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    kind = name.rpartition("-")[2]
    source = {"type": kind, "uid": f"flask-chest-{kind}{'-spans' if name == REQUEST else ''}"}
    chosen = dict.fromkeys((one["name"] for one in dashboard["templating"]["list"]), "x")
    for title, target in targets(dashboard):
        assert target["datasource"] == source, title
        # A variable that is not there is an error.
        Viewer(0, 10, choices=chosen).interpolate(target.get("query") or target["expr"])
