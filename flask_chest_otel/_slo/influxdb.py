"""Makes a template for InfluxDB 2 of objectives: a task, two checks, an endpoint and a rule, for `influx apply`.

The task runs once a minute. It writes the increase of the counters of all processes in that minute. It adds up these
increases over the windows of each alert, and writes the burn rate divided by the limit of the alert. The checks
compare that with 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._slo.burn import ALERTS
from flask_chest_otel._slo.words import digits, dns_name, file_name, quoted, yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flask_chest_otel._slo.render import Rendering
    from flask_chest_otel.slo import SLO, BurnAlert

__all__ = ["files"]

API = "influxdata.com/v2alpha1"
STEP_S = 60
LEVELS = {"page": "CRIT", "ticket": "WARN"}
MESSAGE = "${r.alert} of ${r.slo}, application ${r.service}: ${r._level}"


def files(rendering: Rendering) -> dict[str, str]:
    """Return the template as one file."""
    head = _HEAD.format(bucket=rendering.bucket)
    return {file_name(rendering.service, "influxdb.yaml"): head + "---\n".join(map(yaml, _resources(rendering)))}


def _resources(rendering: Rendering) -> Iterator[dict[str, object]]:
    service = rendering.service
    every = _duration(rendering, STEP_S)
    task = {
        "name": f"Objectives of {_shown(service)}",
        "every": every,
        "offset": _offset(rendering, 20),
        "status": "active",
        "query": _task(rendering),
    }
    yield _resource("Task", dns_name("flask-chest-slo", service), task)
    for severity, level in LEVELS.items():
        yield _resource("CheckThreshold", _check_name(rendering, severity), _check(rendering, severity, level))
    if rendering.notify:
        endpoint = dns_name("flask-chest-slo", service, "endpoint")
        spec = {"name": f"Objectives of {_shown(service)}", "type": "none", "method": "POST", "url": rendering.notify}
        yield _resource("NotificationEndpointHTTP", endpoint, {**spec, "status": "active"})
        yield _resource("NotificationRule", dns_name("flask-chest-slo", service, "rule"), _rule(rendering, endpoint))


def _text(value: str) -> str:
    """A text of Flux, which would put a value where ``${…}`` stands."""
    return quoted(value).replace("${", "\\${")


def _shown(service: str) -> str:
    """A name that people read, and a tag: InfluxDB makes a text of Flux of it by itself, and knows no escape there."""
    return service.replace("${", "$ {")


def _resource(kind: str, name: str, spec: Mapping[str, object]) -> dict[str, object]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _check_name(rendering: Rendering, severity: str) -> str:
    return dns_name("flask-chest-slo", rendering.service, severity)


def _check(rendering: Rendering, severity: str, level: str) -> dict[str, object]:
    every = _duration(rendering, STEP_S)
    query = f"""from(bucket: {_text(rendering.bucket)})
  |> range(start: v.timeRangeStart, stop: v.timeRangeStop)
  |> filter(fn: (r) => r._measurement == "flask_chest.slo.burn" and r._field == "of_limit")
  |> filter(fn: (r) => r.service == {_text(rendering.service)} and r.severity == "{severity}")
  |> aggregateWindow(every: {every}, fn: last, createEmpty: false)
  |> yield(name: "last")
"""
    return {
        "name": f"Objectives of {_shown(rendering.service)}: {severity}",
        "every": every,
        "offset": _offset(rendering, 40),
        "status": "active",
        "query": query,
        "statusMessageTemplate": MESSAGE,
        "tags": [{"key": "flask_chest_service", "value": _shown(rendering.service)}],
        "thresholds": [{"type": "greater", "level": level, "value": 1.0}],
    }


def _rule(rendering: Rendering, endpoint: str) -> dict[str, object]:
    return {
        "name": f"Objectives of {_shown(rendering.service)}",
        "endpointName": endpoint,
        "every": _duration(rendering, STEP_S),
        "offset": _offset(rendering, 50),
        "messageTemplate": "${r._message}",
        "status": "active",
        "statusRules": [
            {"currentLevel": "CRIT"},
            {"currentLevel": "WARN"},
            {"currentLevel": "OK", "previousLevel": "CRIT"},
        ],
        "tagRules": [{"key": "flask_chest_service", "value": _shown(rendering.service), "operator": "equal"}],
    }


def _offset(rendering: Rendering, seconds: int) -> str:
    """Write how long after the end of a minute something runs. InfluxDB takes whole seconds."""
    return f"{max(1, seconds // rendering.shorten)}s"


def _duration(rendering: Rendering, seconds: int) -> str:
    """Write a duration for Flux, divided by ``shorten``."""
    left = seconds * 1000 // rendering.shorten
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")):
        if left >= size and left % size == 0:
            return f"{left // size}{unit}"
    return f"{left}ms"


def _task(rendering: Rendering) -> str:
    def by_slo(value: Callable[[SLO], str]) -> str:
        return ", ".join(f"{{key: {_text(slo.name)}, value: {value(slo)}}}" for slo in rendering.slos)

    burning = [_burning(rendering, name, alert) for name, alert in ALERTS.items()]
    return _TASK.format(
        bucket=_text(rendering.bucket),
        service=_text(rendering.service),
        step=_duration(rendering, STEP_S),
        budgets=by_slo(lambda slo: digits(slo.budget)),
        least=by_slo(lambda slo: f"{slo.min_requests}.0"),
        burning=",\n  ".join(burning),
    )


def _burning(rendering: Rendering, name: str, alert: BurnAlert) -> str:
    """Return the Flux call that calculates one alert. ``limit`` is a float: Flux does not convert types."""
    long, short = _duration(rendering, alert.long_s), _duration(rendering, alert.short_s)
    return f'burning(alert: "{name}", severity: "{alert.severity}", limit: {alert.burn}, long: {long}, short: {short})'


_HEAD = """\
# Objectives of one application, for InfluxDB 2. Made by `flask chest slo render --target influxdb`.
#
#   influx apply --org ORGANISATION --file FILE
#
# Reads and writes the bucket {bucket}: flask_chest.slo.requests is what the application counts, flask_chest.slo.minute
# by how much that grew in a minute, flask_chest.slo.burn how fast the budget burns, as a share of what an alert allows.
"""

_TASK = """\
import "date"
import "dict"
import "math"

bucket = {bucket}
service = {service}
stop = date.truncate(t: now(), unit: {step})
start = date.sub(d: {step}, from: stop)
budgets = dict.fromList(pairs: [{budgets}])
least = dict.fromList(pairs: [{least}])

// By how much each counter grew: from nought where its process began in this minute.
counted = (start, stop) => from(bucket: bucket)
  |> range(start: start, stop: stop)
  |> filter(fn: (r) => r._measurement == "flask_chest.slo.requests" and r._field == "counter")
  |> filter(fn: (r) => r["service.name"] == service)
  |> last()
  |> toFloat()
  |> drop(columns: ["_start", "_stop"])
inside = counted(start: start, stop: stop) |> map(fn: (r) => ({{r with _time: stop}}))
before = counted(start: date.sub(d: 1d, from: start), stop: start) |> map(fn: (r) => ({{r with _time: start}}))
nought = inside |> map(fn: (r) => ({{r with _time: start, _value: 0.0}}))
began = union(tables: [nought, before]) |> max()
grown = union(tables: [began, inside])
  |> sort(columns: ["_time"])
  |> difference(nonNegative: true)
  |> rename(columns: {{"flask_chest.slo.name": "slo", "flask_chest.slo.result": "result"}})
  |> group(columns: ["slo", "result"])
  |> sum()

grown
  |> map(fn: (r) => ({{r with _time: start, _measurement: "flask_chest.slo.minute", service: service}}))
  |> set(key: "_field", value: "requests")
  |> to(bucket: bucket, tagColumns: ["service", "slo", "result"])

// Requests of a window: this minute, and those before it.
requests = (over) => union(tables: [
    grown,
    from(bucket: bucket)
      |> range(start: date.sub(d: over, from: stop), stop: start)
      |> filter(fn: (r) => r._measurement == "flask_chest.slo.minute" and r._field == "requests")
      |> filter(fn: (r) => r.service == service)
      |> group(columns: ["slo", "result"])
      |> sum()])
  |> group(columns: ["slo", "result"])
  |> sum()
  |> group()
  |> pivot(rowKey: ["slo"], columnKey: ["result"], valueColumn: "_value")
  |> map(fn: (r) => ({{r with good: if exists r.good then r.good else 0.0, bad: if exists r.bad then r.bad else 0.0}}))
  |> map(fn: (r) => ({{slo: r.slo, bad: r.bad, all: r.good + r.bad}}))
  |> map(fn: (r) => ({{slo: r.slo, all: r.all, share: if r.all > 0.0 then r.bad / r.all else 0.0}}))

burning = (alert, severity, limit, long, short) =>
  join(tables: {{long: requests(over: long), short: requests(over: short)}}, on: ["slo"])
    |> map(fn: (r) => ({{
        _time: start,
        _measurement: "flask_chest.slo.burn",
        _field: "of_limit",
        service: service,
        slo: r.slo,
        alert: alert,
        severity: severity,
        _value: if r.all_long < dict.get(dict: least, key: r.slo, default: 0.0) then 0.0
          else math.mMin(x: r.share_long, y: r.share_short)
            / (limit * dict.get(dict: budgets, key: r.slo, default: 1.0))}}))

union(tables: [
  {burning}])
  |> to(bucket: bucket, tagColumns: ["service", "slo", "alert", "severity"])
"""
