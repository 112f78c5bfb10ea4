"""The dashboard for Prometheus, in PromQL.

As in InfluxDB: what a time range saw is what each process's total grew by, from nought or from its last value before
the range. ``increase()`` would leave out what a process had counted before its first scrape, and extrapolate the rest.
"""

from __future__ import annotations

from tools.dashboards._grafana import COUNT, RATE, SECONDS, SHARE, Json, dashboard, panel, variable

__all__ = ["indicators"]

DURATION = "http_server_request_duration_seconds"
VARIABLE = "${variable}"
RANGE, STEP = "$__range", "$__interval"
BY_ROUTE = "http_route, http_request_method"
FAILED = 'http_response_status_code=~"5.."'


def _grown(metric: str, during: str, *labels: str) -> str:
    chosen = ", ".join(['job="$service"', *labels])
    series = f"{metric}{{{chosen}}}"
    now = f"last_over_time({series}[{during}])"
    return f"({now} - ({series} offset {during} or {now} * 0))"


def _sum(metric: str, during: str, *labels: str, by: str = "") -> str:
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} ({_grown(metric, during, *labels)})"


def _average(of: str, during: str, *, by: str = "") -> str:
    return f"{_sum(f'{of}_sum', during, by=by)} / ({_sum(f'{of}_count', during, by=by)} > 0)"


def _ratio(of: str, during: str, *, by: str = "") -> str:
    every = _sum(f"{of}_count", during, by=by)
    return f"({_sum(f'{of}_count', during, FAILED, by=by)} or {every} * 0) / ({every} > 0)"


def _quantile(share: float, of: str, during: str, *, by: str = "") -> str:
    return f"histogram_quantile({share}, {_sum(f'{of}_bucket', during, by=', '.join(filter(None, ['le', by])))})"


def _stat(expression: str, legend: str = "") -> Json:
    return {"expr": expression, "instant": True, "legendFormat": legend}


def _table(expression: str) -> Json:
    return {"expr": expression, "instant": True, "format": "table"}


def _series(expression: str, legend: str, **more: bool) -> Json:
    # A window shorter than the time between two scrapes would be empty.
    return {"expr": expression, "range": True, "interval": "30s", "legendFormat": legend, **more}


def _figures_by_route(of: str, *, http: bool) -> tuple[list[Json], list[Json]]:
    """Queries of a table and how they become one, each with a column of its own."""
    queries = {
        "transactions": _sum(f"{of}_count", RANGE, by=BY_ROUTE),
        "rate": f"{_sum(f'{of}_count', RANGE, by=BY_ROUTE)} / $__range_s",
        **({"error ratio": _ratio(of, RANGE, by=BY_ROUTE)} if http else {}),
        "average": _average(of, RANGE, by=BY_ROUTE),
        "p95": _quantile(0.95, of, RANGE, by=BY_ROUTE),
        "p99": _quantile(0.99, of, RANGE, by=BY_ROUTE),
    }
    names = {f"Value #{chr(ord('A') + at)}": name for at, name in enumerate(queries)}
    hidden = {"id": "organize", "options": {"excludeByName": {"Time": True}, "renameByName": names}}
    return [_table(one) for one in queries.values()], [{"id": "merge", "options": {}}, hidden]


def _counters() -> Json:
    named = 'label_replace({}, "variable", "$1", "__name__", "(.*)")'.format
    series = '{__name__=~"flask_g_.+_total", job="$service"}'
    now, before = named(f"last_over_time({series}[{RANGE}])"), named(f"{series} offset {RANGE}")
    return _table(f"sum by (variable, {BY_ROUTE}) ({now} - ({before} or {now} * 0))")


def indicators() -> Json:
    """Transactions, rate, error ratio, response time; the same for a tracked variable."""
    small, wide, half = (6, 4), (24, 9), (12, 8)
    routes, merged = _figures_by_route(DURATION, http=True)
    of_variable, merged_variable = _figures_by_route(VARIABLE, http=False)
    rate = f"{_sum(f'{DURATION}_count', STEP, by=BY_ROUTE)} / ($__interval_ms / 1000)"
    p95, p99 = (_quantile(share, DURATION, STEP) for share in (0.95, 0.99))
    panels = [
        panel("stat", "Transactions", [_stat(_sum(f"{DURATION}_count", RANGE))], size=small, unit=COUNT),
        panel(
            "stat",
            "Error ratio",
            [_stat(_ratio(DURATION, RANGE))],
            size=small,
            unit=SHARE,
            about="Share answered with 5xx.",
        ),
        panel("stat", "Average response time", [_stat(_average(DURATION, RANGE))], size=small, unit=SECONDS),
        panel(
            "stat",
            "p95 and p99",
            [_stat(_quantile(0.95, DURATION, RANGE), "p95"), _stat(_quantile(0.99, DURATION, RANGE), "p99")],
            size=small,
            unit=SECONDS,
        ),
        panel(
            "timeseries",
            "Rate",
            [_series(rate, "{{http_request_method}} {{http_route}}")],
            size=half,
            unit=RATE,
        ),
        panel(
            "timeseries",
            "Response time",
            [
                _series(_average(DURATION, STEP), "average"),
                _series(p95, "p95", exemplar=True),
                _series(p99, "p99"),
            ],
            size=half,
            unit=SECONDS,
            about="The dots are exemplars: each leads to the trace of one request.",
        ),
        panel(
            "table",
            "Routes and methods",
            routes,
            size=wide,
            transformations=merged,
            columns=("transactions", "rate", "error ratio", "average", "p95", "p99"),
        ),
        panel(
            "table",
            "${variable} by route and method",
            of_variable,
            size=half,
            transformations=merged_variable,
            columns=("transactions", "rate"),
            about="A tracked variable that is a number. Percentiles are interpolated in its buckets.",
        ),
        panel("table", "Counted variables", [_counters()], size=half),
        panel("timeseries", "${variable}, average", [_series(_average(VARIABLE, STEP), "average")], size=wide),
    ]
    variables = [
        variable("service", "Service", f"label_values({DURATION}_count, job)"),
        variable("variable", "Tracked variable", "metrics(flask_g_.+_count)", regex="/(.+)_count/"),
    ]
    return dashboard(
        "flask-chest-indicators-prometheus", "Flask: service level (Prometheus)", "prometheus", panels, variables
    )
