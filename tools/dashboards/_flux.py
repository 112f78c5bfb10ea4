"""The dashboards for InfluxDB 2.x, in Flux.

The metrics in InfluxDB are totals that each process has counted since it began. What a time range saw is what they grew
by in it: from nought where the process began in it, else from the last value before. So the figures are exact, also for
a process of a few requests. Every text is compared with a literal, which InfluxDB can look up; a variable's value
comes quoted by Grafana (``:doublequote``).
"""

from __future__ import annotations

from tools.dashboards._grafana import COUNT, RATE, SECONDS, SHARE, Json, dashboard, panel, textbox, variable

__all__ = ["indicators", "one_request"]

SERVICE = 'r["service.name"] == ${service:doublequote}'
DURATION = f'r._measurement == "http.server.request.duration" and {SERVICE}'
VARIABLE = f"r._measurement == ${{variable:doublequote}} and {SERVICE}"
COUNTERS = f'r._measurement =~ /^flask\\.g\\./ and {SERVICE} and r._field == "counter"'

COUNTS = 'r._field == "count"'
SUMS = '(r._field == "count" or r._field == "sum")'
BUCKETS = " and ".join(f'r._field != "{name}"' for name in ("count", "sum", "min", "max", "start_time_unix_nano"))

LABELS = {"displayName": "${__field.labels.method} ${__field.labels.route}"}
BY_ROUTE = '["route", "method"]'

_GROWN = """import "date"
points = (start, stop) => from(bucket: v.defaultBucket)
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => {where})
inside = points(start: v.timeRangeStart, stop: v.timeRangeStop)
  |> aggregateWindow(every: v.windowPeriod, fn: last, createEmpty: false)
  |> drop(columns: ["_start", "_stop"])
before = points(start: date.sub(from: v.timeRangeStart, d: 1d), stop: v.timeRangeStart)
  |> last()
  |> drop(columns: ["_start", "_stop"])
nought = inside |> first() |> map(fn: (r) => ({{r with _value: 0.0}}))
began = union(tables: [nought, before]) |> max() |> map(fn: (r) => ({{r with _time: v.timeRangeStart}}))
grown = union(tables: [began, inside])
  |> sort(columns: ["_time"])
  |> difference()
  |> map(fn: (r) => ({{r with
    route: if exists r["http.route"] then r["http.route"] else "-",
    method: if exists r["http.request.method"] then r["http.request.method"] else "-",
    failed: exists r["http.response.status_code"] and r["http.response.status_code"] =~ /^5/}}))
"""

_FIGURES = """
  |> reduce(identity: {transactions: 0.0, failed: 0.0, seconds: 0.0}, fn: (r, accumulator) => ({
    transactions: accumulator.transactions + (if r._field == "count" then r._value else 0.0),
    failed: accumulator.failed + (if r._field == "count" and r.failed then r._value else 0.0),
    seconds: accumulator.seconds + (if r._field == "sum" then r._value else 0.0)}))
  |> filter(fn: (r) => r.transactions > 0.0)
  |> group()"""

_RANGE_S = "(float(v: int(v: v.timeRangeStop) - int(v: v.timeRangeStart)) / 1000000000.0)"
_WINDOW_S = "(float(v: int(v: v.windowPeriod)) / 1000000000.0)"


def _grown(*conditions: str) -> str:
    return _GROWN.format(where=" and ".join(conditions))


def _query(*parts: str) -> Json:
    return {"query": "".join(parts)}


def _total(of: str) -> Json:
    return _query(_grown(of, COUNTS), "grown |> group() |> sum()")


def _ratio(of: str) -> Json:
    share = "  |> map(fn: (r) => ({_value: r.failed / r.transactions}))"
    return _query(_grown(of, COUNTS), "grown |> group()", _FIGURES, "\n", share)


def _average(of: str) -> Json:
    average = "  |> map(fn: (r) => ({_value: r.seconds / r.transactions}))"
    return _query(_grown(of, SUMS), "grown |> group()", _FIGURES, "\n", average)


def _figures_by_route(of: str, *, http: bool) -> Json:
    ratio = '"error ratio": r.failed / r.transactions, ' if http else ""
    return _query(
        _grown(of, SUMS),
        f"grown |> group(columns: {BY_ROUTE})",
        _FIGURES,
        f"""
  |> map(fn: (r) => ({{route: r.route, method: r.method, transactions: r.transactions,
    rate: r.transactions / {_RANGE_S}, {ratio}average: r.seconds / r.transactions}}))""",
    )


def _quantiles(of: str, *by: str) -> Json:
    """The 95th and 99th percentile of each group, interpolated in its buckets as PromQL does it."""
    columns = ", ".join(f'"{name}"' for name in by)
    fields = ", ".join(filter(None, [columns, '"_field"']))
    both = ", ".join(
        f'buckets |> histogramQuantile(quantile: {share}) |> set(key: "quantile", value: "{name}")'
        for share, name in ((0.95, "p95"), (0.99, "p99"))
    )
    return _query(
        _grown(of, BUCKETS),
        f"""buckets = grown
  |> group(columns: [{fields}])
  |> sum()
  |> map(fn: (r) => ({{r with le: float(v: r._field)}}))
  |> group(columns: [{columns}])
  |> sort(columns: ["le"])
union(tables: [{both}])
  |> group()
  |> filter(fn: (r) => r._value > 0.0)
  |> pivot(rowKey: [{columns}], columnKey: ["quantile"], valueColumn: "_value")""",
    )


def _rate_over_time(of: str) -> Json:
    return _query(
        _grown(of, COUNTS),
        f"""grown
  |> group(columns: ["_time", "route", "method"])
  |> sum()
  |> map(fn: (r) => ({{r with _value: r._value / {_WINDOW_S}}}))
  |> group(columns: {BY_ROUTE})""",
    )


def _average_over_time(of: str) -> Json:
    average = """
  |> map(fn: (r) => ({_time: r._time, average: r.seconds / r.transactions}))"""
    return _query(_grown(of, SUMS), 'grown |> group(columns: ["_time"])', _FIGURES, average)


def _counters() -> Json:
    return _query(
        _grown(COUNTERS),
        """grown
  |> group(columns: ["_measurement", "route", "method"])
  |> sum()
  |> group()
  |> rename(columns: {_measurement: "variable", _value: "total"})
  |> keep(columns: ["variable", "route", "method", "total"])""",
    )


def indicators() -> Json:
    """Transactions, rate, error ratio, response time; the same for a tracked variable."""
    merge = [{"id": "merge", "options": {}}]
    small, wide, half = (6, 4), (24, 9), (12, 8)
    panels = [
        panel("stat", "Transactions", [_total(DURATION)], size=small, unit=COUNT),
        panel("stat", "Error ratio", [_ratio(DURATION)], size=small, unit=SHARE, about="Share answered with 5xx."),
        panel("stat", "Average response time", [_average(DURATION)], size=small, unit=SECONDS),
        panel("stat", "p95 and p99", [_quantiles(DURATION)], size=small, unit=SECONDS),
        panel("timeseries", "Rate", [_rate_over_time(DURATION)], size=half, unit=RATE | LABELS),
        panel(
            "timeseries",
            "Response time",
            [_average_over_time(DURATION), _quantiles(DURATION, "_time")],
            size=half,
            unit=SECONDS,
        ),
        panel(
            "table",
            "Routes and methods",
            [_figures_by_route(DURATION, http=True), _quantiles(DURATION, "route", "method")],
            size=wide,
            transformations=merge,
            columns=("transactions", "rate", "error ratio", "average", "p95", "p99"),
        ),
        panel(
            "table",
            "${variable} by route and method",
            [_figures_by_route(VARIABLE, http=False), _quantiles(VARIABLE, "route", "method")],
            size=half,
            transformations=merge,
            columns=("transactions", "rate"),
            about="A tracked variable that is a number. Percentiles are interpolated in its buckets.",
        ),
        panel("table", "Counted variables", [_counters()], size=half),
        panel("timeseries", "${variable}, average", [_average_over_time(VARIABLE)], size=wide),
    ]
    variables = [
        variable("service", "Service", _SERVICES),
        variable("variable", "Tracked variable", _VARIABLES),
    ]
    return dashboard(
        "flask-chest-indicators-influxdb", "Flask: service level (InfluxDB)", "influxdb", panels, variables
    )


_SERVICES = """import "influxdata/influxdb/schema"
schema.tagValues(bucket: v.defaultBucket, tag: "service.name",
  predicate: (r) => r._measurement == "http.server.request.duration", start: v.timeRangeStart)"""
_VARIABLES = """from(bucket: v.defaultBucket)
  |> range(start: v.timeRangeStart)
  |> filter(fn: (r) => r._measurement =~ /^flask\\.g\\./ and r._field == "sum")
  |> keep(columns: ["_measurement"])
  |> group()
  |> distinct(column: "_measurement")"""

_TRACE = """from(bucket: v.defaultBucket)
  |> range(start: v.timeRangeStart)
  |> filter(fn: (r) => r._measurement == "spans" and r["flask.request_id"] == ${request_id:doublequote}
    and r._field == "duration_nano")
  |> keep(columns: ["trace_id"])
  |> group()
  |> distinct(column: "trace_id")"""


def _spans(condition: str, *columns: str) -> Json:
    names = ", ".join(f'"{name}"' for name in columns)
    return _query(f"""from(bucket: v.defaultBucket)
  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)
  |> filter(fn: (r) => r._measurement == "spans" and {condition})
  |> drop(columns: ["_start", "_stop", "_measurement"])
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> group()
  |> keep(columns: [{names}])
  |> sort(columns: ["_time"])
  |> rename(columns: {{duration_nano: "duration"}})""")


def one_request() -> Json:
    """One request by its id."""
    request = _spans(
        'r["flask.request_id"] == ${request_id:doublequote}',
        "_time",
        "http.route",
        "span.name",
        "duration_nano",
        "trace_id",
        "attributes",
    )
    trace = _spans(
        "r.trace_id == ${trace_id:doublequote}",
        "_time",
        "service.name",
        "span.name",
        "span.kind",
        "duration_nano",
        "otel.status_code",
        "span_id",
        "attributes",
    )
    # Attributes are one JSON text: a column for each.
    unfold = [{"id": "extractFields", "options": {"source": "attributes", "format": "json", "replace": False}}]
    panels = [
        panel("table", "The request", [request], size=(24, 8), transformations=unfold, columns=("duration",)),
        panel("table", "Every span of its trace", [trace], size=(24, 12), columns=("duration",)),
    ]
    variables = [textbox("request_id", "Request id"), variable("trace_id", "Trace", _TRACE, hide=True)]
    return dashboard(
        "flask-chest-request-influxdb", "Flask: one request (InfluxDB)", "influxdb-spans", panels, variables
    )
