"""Which signals a target gets, and where InfluxDB keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from flask_chest_otel._cli import chest_cli
from flask_chest_otel._collector import Composition, render
from flask_chest_otel._collector.check import problems
from tests.backends import jsonl
from tests.backends.traffic import DURATION, Traffic, eventually

if TYPE_CHECKING:
    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector


def rendered(*arguments: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(chest_cli, ["collector", "render", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.real
def test_a_target_gets_only_what_is_named(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """`influxdb:metrics` has every metric and no span; the file beside it has both."""
    text = rendered("--target", "influxdb:metrics", "--target", "file")
    collector = start_collector(whole=text, env=influxdb.collector_env)
    with Traffic(collector.otlp_http) as traffic:
        traffic.request("r-1", {"cart_total": 2.5})
        traffic.flush()
        count = f'SELECT last("count") AS c FROM "{DURATION}"'
        eventually(lambda: [row["c"] for row in influxdb.influxql(count)], [1.0])
        eventually(lambda: len(jsonl.spans(collector.folder / "telemetry.jsonl")), 2)
        assert influxdb.influxql("SELECT attributes FROM spans") == []


@pytest.mark.real
def test_spans_have_a_bucket_of_their_own(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """By default spans go where they can be thrown away early, and a request is found there by its id."""
    env = {name: value for name, value in influxdb.collector_env.items() if "BUCKET" not in name}
    composition = Composition(("influxdb",))
    # The one that a user forgets is named.
    text = render(composition)
    [missing] = [one for one in problems(composition, text, env) if "bucket" in one]
    assert "has no bucket 'chest_spans'" in missing
    cut = Composition(("influxdb",), signals={"influxdb": frozenset({"metrics"})})
    assert [one for one in problems(cut, render(cut), env) if "bucket" in one] == []
    influxdb.make_bucket(
        "chest_spans", retentionRules=[{"type": "expire", "everySeconds": 259200, "shardGroupDurationSeconds": 21600}]
    )
    assert [one for one in problems(composition, text, env) if "bucket" in one] == []
    collector = start_collector("influxdb", env=env)
    with Traffic(collector.otlp_http) as traffic:
        for number in range(50):
            traffic.request(f"r-{number}", {"cart_total": 2.5})
        traffic.flush()
        count = f'SELECT last("count") AS c FROM "{DURATION}"'
        eventually(lambda: [row["c"] for row in influxdb.influxql(count)], [50.0])
        one = "SELECT attributes FROM spans WHERE \"flask.request_id\"='r-7'"
        eventually(lambda: len(influxdb.influxql(one, "chest_spans")), 1)
        eventually(lambda: series(influxdb, "chest_spans"), 100)
        assert influxdb.influxql("SELECT attributes FROM spans") == []
        # Metrics: one series per process, metric, route and method.
        assert series(influxdb, "chest") < 10


def series(influxdb: InfluxDB2, bucket: str) -> int:
    """Ask how many series a bucket has."""
    query = f'import "influxdata/influxdb"\ninfluxdb.cardinality(bucket: "{bucket}", start: -1h)'
    return sum(int(row["_value"]) for row in influxdb.flux(query))


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_other_targets_are_left_alone(signal: str) -> None:
    """Only the target's own pipelines go; the source Kafka is not the target Kafka."""
    everything = Composition(("influxdb", "influxdb1", "prometheus", "prometheus_remote_write"), from_kafka=True)
    cut = Composition(everything.targets, from_kafka=True, signals={"influxdb": frozenset({signal})})
    before, after = (set(yaml.safe_load(render(one))["service"]["pipelines"]) for one in (everything, cut))
    others = {"traces", "metrics", "logs"} - {signal}
    links = {"traces/influxdb_links"} if "traces" in others else set()
    gone = {f"{other}/{name}" for other in others for name in ("influxdb_gate", "influxdb")}
    assert before - after == gone | links
    assert after < before


def test_all_signals_by_name_are_everything() -> None:
    """`--target influxdb:traces --target influxdb:metrics --target influxdb:logs` is `--target influxdb`."""
    each = [argument for signal in ("traces", "metrics", "logs") for argument in ("--target", f"influxdb:{signal}")]
    assert rendered(*each) == rendered("--target", "influxdb")
    assert "influxdb (logs and traces only)" in rendered("--target", "influxdb:logs", "--target", "influxdb:traces")
    assert "influxdb (metrics only)" in rendered("--target", "influxdb:metrics")


def test_a_signal_that_a_target_does_not_take() -> None:
    """The answer lists what can be typed."""
    done = CliRunner().invoke(chest_cli, ["collector", "render", "--target", "prometheus:traces"])
    assert done.exit_code == 2
    assert "There are: prometheus, prometheus:metrics." in done.output
    done = CliRunner().invoke(chest_cli, ["collector", "render", "--target", "signalfx:metrics"])
    assert "splunk (metrics only)" in done.stdout
