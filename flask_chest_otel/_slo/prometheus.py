"""Makes recording rules and alerts for Prometheus of objectives.

There are three steps, each a recording rule:

1. Once a minute, the counter of each process is read.
2. Its increase since the minute before is added up over all processes.
3. These increases are added up over windows.

No request is missed: requests that a process counted before it was first read, between the last reading and its end, or
while Prometheus was down, are part of one of the increases.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask_chest_otel._slo.burn import ALERTS, WINDOWS_S, window_name
from flask_chest_otel._slo.words import digits, file_name, quoted, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel._slo.render import Rendering
    from flask_chest_otel.slo import SLO, BurnAlert

__all__ = ["BUDGET", "COUNTER", "NAME", "RATIO", "RESULT", "files", "job_of"]

COUNTER = "flask_chest_slo_requests_total"
NAME, RESULT = "flask_chest_slo_name", "flask_chest_slo_result"
OF_PROCESS = "flask_chest:slo_requests:of_process"
HEARTBEAT = "flask_chest:slo_rules:heartbeat"
INCREASE = "flask_chest:slo_requests:increase1m"
TOTAL, RATIO, BUDGET = "flask_chest:slo_requests:total", "flask_chest:slo_errors:ratio", "flask_chest:slo_budget:left"

STEP_S, BUDGET_STEP_S = 60, 300
"""How often rules are evaluated: those of alerts, and those of budgets, seconds."""

DAY_S = 86400
_DOLLAR = re.escape("$")


def files(rendering: Rendering) -> dict[str, str]:
    """Return the rules of one application as one file."""
    return {file_name(rendering.service, "rules.yaml"): "\n".join(_Rules(rendering).lines()) + "\n"}


def job_of(service: str) -> str:
    """Return the label condition for one service: the collector makes ``job`` of ``service.namespace`` and its name."""
    # A dollar in brackets: to Grafana, which knows no escapes, one before a word is a variable.
    return f"job=~{quoted('(.+/)?' + re.escape(service).replace(_DOLLAR, '[$]'))}"


class _Rules:
    """Writes the rules line by line.

    Args:
        rendering: The objectives, and how to write them.
    """

    def __init__(self, rendering: Rendering) -> None:
        self._rendering = rendering
        self._group = f"flask-chest-slo-{rendering.service}"
        self._job = job_of(rendering.service)

    def lines(self) -> Iterator[str]:
        """Yield all lines of the file."""
        yield from _HEAD.splitlines()
        if self._rendering.shorten != 1:
            yield f"#\n# For trying out: every time below is divided by {self._rendering.shorten}. Names are as ever."
        yield "groups:"
        yield from self._group_lines("", STEP_S)
        yield from self._counted()
        for window_s in WINDOWS_S:
            yield from self._window(window_s)
        for slo in self._rendering.slos:
            for name, alert in ALERTS.items():
                yield from self._alert(slo, name, alert)
        yield ""
        yield from self._group_lines("-budget", BUDGET_STEP_S)
        for window_s in sorted({slo.window_days * DAY_S for slo in self._rendering.slos} - set(WINDOWS_S)):
            yield from self._window(window_s)
        for slo in self._rendering.slos:
            yield from self._budget(slo)

    def _group_lines(self, end: str, step_s: int) -> Iterator[str]:
        yield f"  - name: {quoted(self._group + end)}"
        yield f"    interval: {self._time(step_s)}"
        yield "    rules:"

    def _counted(self) -> Iterator[str]:
        labels = f"job, instance, {NAME}, {RESULT}"
        yield "      # What each process has counted so far; values of a dimension are added up."
        yield from _rule(OF_PROCESS, [f"sum by ({labels}) ({COUNTER}{{{self._job}}})"])
        yield "      # Says that these rules were at work."
        heartbeat = f"{{service={quoted(self._rendering.service)}}}"
        yield from _rule(HEARTBEAT, ["vector(1)"], {"service": self._rendering.service})
        yield "      # What came in this minute, from processes that were there before and from new ones. A counter"
        yield "      # that fell began again from 0. Where no rule was at work for a day, nobody knows when a process"
        yield "      # has counted: what it has then is where counting begins."
        before, day = self._time(STEP_S // 2), self._time(DAY_S)
        counted = f"{OF_PROCESS}{{{self._job}}}"
        yield from _rule(
            INCREASE,
            [
                f"sum by (job, {NAME}, {RESULT}) (",
                f"  ({counted} - last_over_time({counted}[{day}] offset {before})) >= 0",
                "  or",
                f"  ({counted} and on () last_over_time({HEARTBEAT}{heartbeat}[{day}] offset {before}))",
                ")",
            ],
        )

    def _window(self, window_s: int) -> Iterator[str]:
        """Yield the rules for the number of requests in a window, and for the share of bad ones; 0 without requests."""
        window = window_name(window_s)
        # Half a step less, because Prometheus 2 counts a value at a window's very beginning, and Prometheus 3 does not.
        time = self._time(window_s - STEP_S // 2)
        by, total = f"sum by (job, {NAME})", f"{TOTAL}{window}{{{self._job}}}"
        yield from _rule(f"{TOTAL}{window}", [f"{by} (sum_over_time({INCREASE}{{{self._job}}}[{time}]))"])
        bad = f'{by} (sum_over_time({INCREASE}{{{self._job}, {RESULT}="bad"}}[{time}]))'
        yield from _rule(f"{RATIO}{window}", [f"{bad} / ({total} > 0)", f"or {total} * 0"])

    def _alert(self, slo: SLO, name: str, alert: BurnAlert) -> Iterator[str]:
        which = f"{{{self._job}, {NAME}={quoted(slo.name)}}}"
        long, short = window_name(alert.long_s), window_name(alert.short_s)
        most = digits(alert.burn * slo.budget)
        labels = {"severity": alert.severity, "service": _as_it_is(self._rendering.service), "slo": slo.name}
        yield f"      - alert: {name}"
        yield "        expr: |-"
        yield f"          {RATIO}{long}{which} > {most}"
        yield f"          and {RATIO}{short}{which} > {most}"
        yield f"          and {TOTAL}{long}{which} >= {slo.min_requests}"
        yield f"        labels: {quoted(labels)}"
        yield "        annotations:"
        yield f"          summary: {quoted(summary(slo, alert))}"
        yield f"          description: {quoted(_description(slo, alert))}"
        yield f"          runbook_url: {quoted(_as_it_is(f'{self._rendering.runbook}#{name.lower()}'))}"

    def _budget(self, slo: SLO) -> Iterator[str]:
        which = f"{{{self._job}, {NAME}={quoted(slo.name)}}}"
        window = window_name(slo.window_days * DAY_S)
        yield from _rule(BUDGET, [f"1 - {RATIO}{window}{which} / {digits(slo.budget)}"], {"slo": slo.name})

    def _time(self, seconds: int) -> str:
        """Write a duration for Prometheus, divided by ``shorten``."""
        left, parts = seconds * 1000 // self._rendering.shorten, []
        for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")):
            count, left = divmod(left, size)
            parts += [f"{count}{unit}"] * bool(count)
        return "".join(parts)


def _rule(record: str, expression: list[str], labels: dict[str, str] | None = None) -> Iterator[str]:
    yield f"      - record: {record}"
    if labels:
        yield f"        labels: {quoted(labels)}"
    if len(expression) == 1:
        yield f"        expr: {expression[0]}"
    else:
        yield "        expr: |-"
        yield from (f"          {line}" for line in expression)


def _as_it_is(text: str) -> str:
    """A text for labels and annotations of an alert, which are templates."""
    return text.replace("{{", '{{"{{"}}')


def _description(slo: SLO, alert: BurnAlert) -> str:
    long, short = window_name(alert.long_s), window_name(alert.short_s)
    return (
        f"In the last {long} {{{{ $value | humanizePercentage }}}} of the requests were bad, and no better in the last "
        f"{short}. The objective is {slo.objective:g} % good in {slo.window_days} days."
    )


_HEAD = """\
# Objectives of one application, for Prometheus. Made by `flask chest slo render --target prometheus`.
#
#   rule_files: [/etc/prometheus/flask-chest-slo-*.rules.yaml]
#
# Needs the metric flask_chest_slo_requests_total with honor_labels (see collector-config/prometheus.yaml), and a
# Prometheus that keeps data as long as the longest objective's window: --storage.tsdb.retention.time=31d.
#
#   flask_chest:slo_requests:total5m … total30d    requests in a window
#   flask_chest:slo_errors:ratio5m … ratio30d      the share of them that was bad: all bad ones by all
#   flask_chest:slo_budget:left                    1: nothing is spent; 0: all is; below: more than there was"""
