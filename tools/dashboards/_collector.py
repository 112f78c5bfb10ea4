"""The dashboard of the collector itself, in PromQL, from its own metrics."""

from __future__ import annotations

from tools.dashboards._grafana import SHARE, Json, dashboard, panel, variable

__all__ = ["collector"]

CHOSEN = 'instance=~"$instance"'
DOOR = f'{CHOSEN}, receiver=~"otlp|otlp/inside|kafka"'
TARGET, GATE = f'{CHOSEN}, exporter!~".+_gate"', f'{CHOSEN}, exporter=~".+_gate"'
PER_S = {"unit": "cps"}
BYTES = {"unit": "bytes"}


def _rates(name: str, chosen: str, by: str = "") -> list[Json]:
    """One query for each signal."""
    grouped, legend = (f" by ({by})", f"{{{{{by}}}}} ") if by else ("", "")
    return [
        _query(f"sum{grouped} (rate(otelcol_{name}_{what}{{{chosen}}}[$__rate_interval]))", f"{legend}{what}")
        for what in ("spans", "metric_points", "log_records")
    ]


def _query(expression: str, legend: str) -> Json:
    return {"expr": expression, "range": True, "legendFormat": legend}


def collector() -> Json:
    """What comes, what goes, what waits, what is refused and lost."""
    third, half = (8, 8), (12, 8)
    fill = f"otelcol_exporter_queue_size{{{TARGET}}} / otelcol_exporter_queue_capacity"
    panels = [
        panel("timeseries", "Comes from applications", _rates("receiver_accepted", DOOR), size=half, unit=PER_S),
        panel("timeseries", "Goes to targets", _rates("exporter_sent", TARGET, "exporter"), size=half, unit=PER_S),
        panel(
            "timeseries",
            "Queues of the targets",
            [_query(fill, "{{exporter}} {{data_type}} {{instance}}")],
            size=half,
            unit=SHARE | {"min": 0, "max": 1},
            about="What waits, of what may wait. Rising: the target is away, or slower than what comes.",
        ),
        panel(
            "timeseries",
            "Waits, in bytes",
            [_query(f"sum by (exporter) (otelcol_exporter_queue_size{{{CHOSEN}}})", "{{exporter}}")],
            size=half,
            unit=BYTES,
        ),
        panel(
            "timeseries",
            "Lost at the gates",
            _rates("exporter_send_failed", GATE, "exporter"),
            size=third,
            unit=PER_S,
            about="For this target alone, because its queue was full.",
        ),
        panel(
            "timeseries",
            "Refused by targets",
            _rates("exporter_send_failed", TARGET, "exporter"),
            size=third,
            unit=PER_S,
            about="Wrong credentials, or data that the target cannot take.",
        ),
        panel(
            "timeseries",
            "Applications told to try again",
            _rates("receiver_refused", DOOR),
            size=third,
            unit=PER_S,
            about="Memory is short, a gate is full, or the disk is.",
        ),
        panel(
            "timeseries",
            "Memory",
            [_query(f"otelcol_process_memory_rss{{{CHOSEN}}}", "{{instance}}")],
            size=third,
            unit=BYTES,
        ),
        panel(
            "timeseries",
            "Processor",
            [_query(f"rate(otelcol_process_cpu_seconds{{{CHOSEN}}}[$__rate_interval])", "{{instance}}")],
            size=third,
            about="1 is one core.",
        ),
        panel(
            "timeseries",
            "Up for",
            [_query(f"otelcol_process_uptime{{{CHOSEN}}}", "{{instance}}")],
            size=third,
            unit={"unit": "s"},
        ),
    ]
    instance = variable("instance", "Collector", "label_values(otelcol_process_uptime, instance)", many=True)
    return dashboard(
        "flask-chest-collector-prometheus", "Flask: the collector (Prometheus)", "prometheus", panels, [instance]
    )
