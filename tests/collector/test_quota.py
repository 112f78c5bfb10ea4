"""The documented bound for one service: others lose nothing, what it costs is counted."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, cast

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from flask_chest_otel._collector import Composition, render
from tests.backends import jsonl
from tests.backends.collector import Collector
from tests.backends.log_traffic import LogTraffic
from tests.backends.raw_otlp import gauge_request, post, set_attribute, trace_request
from tests.backends.require import REPOSITORY, require_built
from tests.backends.traffic import Traffic, eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

HOW_TO = REPOSITORY / "docs" / "how-to" / "collector-scale.md"
COUNTED = "otelcol_processor_tail_sampling_count_traces_sampled"


class WithOneMore(Collector):
    """A rendered configuration with a file of the operator's own behind it."""

    def command(self) -> list[str]:
        """Return the collector with both."""
        return [*super().command(), "--config", str(self.folder / "quota.yaml")]


def test_a_loud_service_is_bounded(tmp_path: Path) -> None:
    """Of 2 000 spans of `loud` a small part arrives, of `shop` every one; the rest is counted."""
    require_built("flask-chest-collector")
    rendered = tmp_path / "collector.yaml"
    rendered.write_text(render(Composition(("file",), tail_sampling=True)))
    collector = WithOneMore(folder=tmp_path / "collector", whole=rendered, env={"CHEST_SAMPLING_WAIT": "1s"})
    [quota] = re.findall(
        r"test: file quota.yaml -->\n```yaml\n(.+?)^```$", HOW_TO.read_text(), re.MULTILINE | re.DOTALL
    )
    (collector.folder / "quota.yaml").write_text(quota)
    with (
        collector,
        Traffic(collector.otlp_http, service="loud") as loud,
        Traffic(collector.otlp_http, service="shop") as shop,
    ):
        for number in range(1000):
            loud.request(f"l-{number}")
        for number in range(100):
            shop.request(f"s-{number}")
        loud.flush()
        shop.flush()

        def arrived(letter: str) -> int:
            spans = jsonl.spans(collector.folder / "telemetry.jsonl")
            return sum(str(span["attributes"].get("flask.request_id", "")).startswith(letter) for span in spans)

        eventually(lambda: arrived("s-"), 100)
        eventually(lambda: collector.own_metric(COUNTED, policy="loud", decision="not_sampled") > 500, expected=True)
        assert arrived("l-") < 500


def test_each_service_is_bounded(start_collector: StartCollector) -> None:
    """No service brings more spans in a minute than the bound; others keep theirs, and what is over is counted."""
    collector = start_collector("file", "debug", env={"CHEST_SERVICE_SPANS_PER_MINUTE": "100"})
    path = collector.folder / "telemetry.jsonl"
    for name, spans in (("loud", 70), ("loud", 70), ("loud", 70), ("shop", 60)):
        body = trace_request(spans, name=name).replace(b"by-hand", b"by-hand" if name == "loud" else b"by-shop")
        assert post(collector.otlp_http, "traces", body) == 200

    def arrived(name: str) -> int:
        return sum(span["name"] == name for span in jsonl.spans(path))

    eventually(lambda: (arrived("loud"), arrived("shop")), (100, 60))
    # Once for each target.
    assert collector.own_metric("otelcol_chest_over_bound", service="by-hand", bound="rate") == 2 * 110
    assert collector.own_metric("otelcol_chest_over_bound", service="by-shop") == 0


def test_log_records_are_bounded(start_collector: StartCollector) -> None:
    """No service brings more log records in a minute than the bound; those of others come, and the rest is counted."""
    collector = start_collector("file", env={"CHEST_SERVICE_LOGS_PER_MINUTE": "100"})
    path = collector.folder / "telemetry.jsonl"
    # Three records each.
    LogTraffic(collector.otlp_http, service="loud").serve(1, 100)
    LogTraffic(collector.otlp_http, service="shop").serve(1001, 1020)

    def arrived() -> tuple[int, int]:
        ids = [int(one["attributes"]["flask.request_id"].removeprefix("r-")) for one in jsonl.logs(path)]
        return sum(one <= 100 for one in ids), sum(one > 1000 for one in ids)

    eventually(arrived, (100, 60))
    assert collector.own_metric("otelcol_chest_over_bound", service="loud", bound="rate") == 200
    assert collector.own_metric("otelcol_chest_over_bound", service="shop") == 0


def test_series_are_bounded(start_collector: StartCollector) -> None:
    """A metric keeps the first sets of attributes of the day, and a service its points of the minute."""
    env = {"CHEST_SERVICE_SERIES": "5", "CHEST_SERVICE_POINTS_PER_MINUTE": "12"}
    collector = start_collector("file", env=env)
    path = collector.folder / "telemetry.jsonl"
    for name, values in (("level", 20), ("level", 20), ("width", 4)):
        assert post(collector.otlp_http, "metrics", gauge_request(name, [1.0] * values)) == 200

    def arrived(name: str) -> list[str]:
        return sorted(point["attributes"]["number"] for point in jsonl.points(path, name))

    eventually(lambda: (arrived("level"), arrived("width")), (sorted([*"01234"] * 2), ["0", "1"]))
    assert collector.own_metric("otelcol_chest_over_bound", bound="series") == 30
    assert collector.own_metric("otelcol_chest_over_bound", bound="rate") == 2


def totals_request(values: list[float], chests: str | None = None) -> bytes:
    """Return a request of one process with a total and a histogram of each of these values, by the attribute `n`."""
    message = ExportMetricsServiceRequest()
    group = message.resource_metrics.add()
    set_attribute(group.resource.attributes, "service.name", "loud")
    scoped = group.scope_metrics.add()
    total, spread = scoped.metrics.add(name="total"), scoped.metrics.add(name="spread")
    total.sum.is_monotonic = True
    total.sum.aggregation_temporality = spread.histogram.aggregation_temporality = 2
    for number, value in enumerate(values):
        plain = total.sum.data_points.add(as_double=value)
        many = spread.histogram.data_points.add(
            count=2, sum=value, min=value / 4, max=3 * value / 4, explicit_bounds=[5.0], bucket_counts=[1, 1]
        )
        for point in (plain, many):
            point.start_time_unix_nano, point.time_unix_nano = 1, time.time_ns()
            set_attribute(point.attributes, "n", str(number))
            if chests is not None:
                set_attribute(point.attributes, "flask.chests", chests)
    return cast("bytes", message.SerializeToString())


def test_totals_stay_exact_beyond_the_bound(start_collector: StartCollector) -> None:
    """What has no series of its own is in one point with `otel.metric.overflow`, to which destinations still apply."""
    collector = start_collector("file", env={"CHEST_SERVICE_SERIES": "5"})
    path = collector.folder / "telemetry.jsonl"
    for times in (1, 2):
        body = totals_request([float(times * value) for value in range(20)])
        assert post(collector.otlp_http, "metrics", body) == 200
    assert post(collector.otlp_http, "metrics", totals_request([100.0] * 7, "file")) == 200
    assert post(collector.otlp_http, "metrics", totals_request([900.0] * 7, "zipkin")) == 200

    def arrived(name: str, field: str) -> list[tuple[tuple[str, ...], float]]:
        return [(tuple(sorted(one["attributes"])), one[field]) for one in jsonl.points(path, name)]

    own = [(("n",), float(value)) for value in range(5)]
    again = [(("n",), 2.0 * value) for value in range(5)]
    rest, both = ("otel.metric.overflow",), ("flask.chests", "otel.metric.overflow")
    sums = [*own, (rest, float(sum(range(5, 20)))), *again, (rest, 2.0 * sum(range(5, 20))), (both, 700.0)]
    eventually(lambda: sorted(arrived("total", "asDouble")), sorted(sums))
    eventually(lambda: sorted(arrived("spread", "sum")), sorted(sums))
    [point] = [one for one in jsonl.points(path, "spread") if one["sum"] == 700.0]
    assert [point[key] for key in ("count", "bucketCounts", "min", "max")] == ["14", ["7", "7"], 25.0, 75.0]
    assert collector.own_metric("otelcol_chest_over_bound", service="loud", bound="overflow") >= 2 * (15 + 15 + 7)
    assert collector.own_metric("otelcol_chest_over_bound", bound="series") == 0
