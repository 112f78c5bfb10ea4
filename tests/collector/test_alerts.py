"""`collector-config/alerts`: each alert fires for its fault and rests in health, for promtool and a real Prometheus."""

from __future__ import annotations

import re
import ssl
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from flask_chest_otel._collector import Composition, render
from tests.backends.collector import CONFIG, Collector
from tests.backends.disk import fill
from tests.backends.grafana import Viewer, load, targets
from tests.backends.log_traffic import LogTraffic
from tests.backends.moody import Moody
from tests.backends.prometheus import Prometheus
from tests.backends.raw_otlp import gauge_request, post, trace_request
from tests.backends.require import REPOSITORY, require_installed
from tests.backends.server import free_port
from tests.backends.traffic import Traffic, eventually
from tests.collector.test_door import NEW, OLD, certificate
from tests.collector.test_door import send as send_as

if TYPE_CHECKING:
    from pathlib import Path

    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

ALERTS = CONFIG / "alerts"
RULES = ALERTS / "flask-chest-collector.rules.yaml"
TOTALS = ALERTS / "flask-chest-totals.rules.yaml"
RUNBOOK = REPOSITORY / "docs" / "how-to" / "alerts.md"
Answer = tuple[str, str, dict[str, float]]
"""A time, a query, and what it shall be answered, by labels."""
ABOUT = 'job="flask-chest-collector", instance="c:8888"'

AWAY = {
    f'otelcol_exporter_queue_size{{{ABOUT}, exporter="influxdb", data_type="traces"}}': "0 1000+1000x60",
    f'otelcol_exporter_queue_capacity{{{ABOUT}, exporter="influxdb", data_type="traces"}}': "1000000000x60",
    # Metrics still get through, and spans to another target.
    f'otelcol_exporter_sent_metric_points{{{ABOUT}, exporter="influxdb"}}': "0+10x60",
    f'otelcol_exporter_sent_spans{{{ABOUT}, exporter="splunk"}}': "0+10x60",
}


def counter(name: str, labels: str, values: str) -> dict[str, str]:
    return {f"otelcol_{name}{{{ABOUT}, {labels}}}": values}


def queue(size: str) -> dict[str, str]:
    about = f'{{{ABOUT}, exporter="influxdb", data_type="traces"}}'
    return {
        f"otelcol_exporter_queue_size{about}": size,
        f"otelcol_exporter_queue_capacity{about}": "1000x60",
        f'otelcol_exporter_sent_spans{{{ABOUT}, exporter="influxdb"}}': "0+10x60",
    }


FIRST, LATER = "_x10 20x50", "5x10 6x50"
"""A counter that begins with 20 after ten minutes; one that was 5 and becomes 6."""

FAULTS: list[tuple[str, dict[str, str]]] = [
    ("CollectorDown", {f"up{{{ABOUT}}}": "1x10 0x50"}),
    ("CollectorDown", {'up{job="flask-chest/flask-chest-collector"}': "1x10 0x50"}),
    ("CollectorDown", {'up{job="another"}': "1x60"}),
    ("CollectorRestarts", {f"otelcol_process_uptime{{{ABOUT}}}": "60 120 1 60 1 60 120 1 60 120+60x60"}),
    ("TargetAway", AWAY),
    ("TargetAway", {name.replace("traces", "metrics"): value for name, value in AWAY.items() if "queue" in name}),
    ("TargetAway", {name.replace("traces", "logs"): value for name, value in AWAY.items() if "queue" in name}),
    ("QueueFilling", queue("600x60")),
    ("QueueNearlyFull", queue("950x60")),
    *(
        (alert, counter(f"{name}_{signal}", labels, values))
        for values in (FIRST, LATER)
        for signal in ("spans", "metric_points", "log_records")
        for alert, name, labels in (
            ("DataLost", "exporter_send_failed", 'exporter="otlp_grpc/influxdb_gate"'),
            ("TargetRefuses", "exporter_send_failed", 'exporter="influxdb"'),
            ("QueueRefuses", "exporter_enqueue_failed", 'exporter="influxdb"'),
            ("ApplicationsWait", "receiver_refused", 'receiver="otlp", transport="http"'),
            ("ApplicationsWait", "receiver_failed", 'receiver="otlp", transport="http"'),
        )
    ),
    *(
        (alert, counter(name, labels, values))
        for values in (FIRST, LATER)
        for alert, name, labels in (
            ("TargetRefuses", "chest_target_refusals", 'exporter="influxdb", kept="file"'),
            ("CallersRefused", "chest_callers_refused", 'transport="http"'),
            ("DiskNearlyFull", "chest_full_disk_waits", 'folder="q"'),
            ("TracesDroppedUndecided", "processor_tail_sampling_sampling_trace_dropped_too_early", 'x="y"'),
            ("Unwritable", "processor_filter_spans_filtered", 'filter="filter/influxdb_writable"'),
            ("Unwritable", "processor_filter_datapoints_filtered", 'filter="filter/influxdb_writable"'),
        )
    ),
    (
        "DiskNearlyFull",
        counter("chest_queue_disk_free", 'x="y"', "9000x10 1900x50")
        | counter("chest_queue_disk_reserve", 'x="y"', "1000x60"),
    ),
]

HEALTH = {
    f"up{{{ABOUT}}}": "1x60",
    f"otelcol_process_uptime{{{ABOUT}}}": "0+60x60",
    **counter("exporter_queue_size", 'exporter="influxdb", data_type="traces"', "0 4000 0 4000 4000 4000 0 9000x53"),
    **counter("exporter_queue_capacity", 'exporter="influxdb", data_type="traces"', "1000000000x60"),
    **counter("exporter_sent_spans", 'exporter="influxdb"', "0+900x60"),
    **counter("exporter_queue_size", 'exporter="influxdb", data_type="metrics"', "0x60"),
    **counter("exporter_queue_size", 'exporter="influxdb", data_type="logs"', "0 4000 0 4000 4000 4000 0 9000x53"),
    **counter("exporter_queue_capacity", 'exporter="influxdb", data_type="logs"', "1000000000x60"),
    **counter("exporter_sent_log_records", 'exporter="influxdb"', "0+900x60"),
    **counter("receiver_accepted_spans", 'receiver="otlp"', "0+900x60"),
    **counter("receiver_refused_spans", 'receiver="otlp"', "0x60"),
    **counter("receiver_failed_metric_points", 'receiver="otlp"', "0x60"),
    **counter("processor_filter_spans_filtered", 'filter="filter/influxdb_with_links"', "0+900x60"),
    **counter("chest_queue_disk_free", 'x="y"', "50000000000x60"),
    **counter("chest_queue_disk_reserve", 'x="y"', "268435456x60"),
}


def alerts() -> dict[str, dict[str, Any]]:
    """Every alert by its name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def promtool(tmp_path: Path, series: dict[str, str], *asked: Answer) -> str:
    """Let Prometheus' own tool play the series, one value a minute; return what it has to say against the answers."""
    rules = [str(path) for path in (RULES, TOTALS)]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": query, "eval_time": at, "exp_samples": [{"labels": k, "value": v} for k, v in answer.items()]}
            for at, query, answer in asked
        ],
    }
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": [test]}))
    tool = require_installed("promtool", "prometheus")
    done = subprocess.run([str(tool), "test", "rules", str(path)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


FIRING = 'count by (alertname) (ALERTS{alertstate="firing"})'


@pytest.mark.parametrize(("alert", "series"), FAULTS, ids=[f"{n}-{one[0]}" for n, one in enumerate(FAULTS)])
def test_an_alert_fires(alert: str, series: dict[str, str], tmp_path: Path) -> None:
    """Its fault alone makes it fire within ten minutes, and in no case an hour of another answer."""
    up = {} if any(name.startswith("up") for name in series) else {f"up{{{ABOUT}}}": "1x60"}
    name = f"FlaskChest{alert}"
    query = f'count by (alertname) (ALERTS{{alertstate="firing", alertname="{name}"}})'
    assert promtool(tmp_path, series | up, ("15m", query, {f'{{alertname="{name}"}}': 1.0})) == ""


def test_every_alert_has_its_fault() -> None:
    """None is left out above."""
    assert {f"FlaskChest{alert}" for alert, _ in FAULTS} == set(alerts())


@pytest.mark.parametrize("restart", [None, 12, 25])
def test_an_hour_of_health(restart: int | None, tmp_path: Path) -> None:
    """Nothing fires in any minute, also around a restart of the collector."""
    series = dict(HEALTH)
    if restart is not None:
        series[f"otelcol_process_uptime{{{ABOUT}}}"] = f"0+60x{restart} 0+60x{60 - restart}"
        series[f'otelcol_exporter_sent_spans{{{ABOUT}, exporter="influxdb"}}'] = f"0+9x{restart} 0+9x{60 - restart}"
    asked: list[Answer] = [(f"{at}m", FIRING, {}) for at in range(61)]
    assert promtool(tmp_path, series, *asked) == ""


def test_a_loss_is_news_for_ten_minutes(tmp_path: Path) -> None:
    """An alert for what has grown rests again when nothing more is lost."""
    lost = counter("exporter_send_failed_spans", 'exporter="otlp_grpc/influxdb_gate"', "_x10 7x50")
    firing = {'{alertname="FlaskChestDataLost"}': 1.0}
    asked: list[Answer] = [("9m", FIRING, {}), ("11m", FIRING, firing), ("19m", FIRING, firing)]
    asked += [(f"{at}m", FIRING, {}) for at in range(23, 60)]
    assert promtool(tmp_path, HEALTH | lost, *asked) == ""


def test_a_dead_target_is_told_within_minutes(tmp_path: Path) -> None:
    """However slowly its queue fills."""
    name = '{alertname="FlaskChestTargetAway"}'
    assert promtool(tmp_path, AWAY | {f"up{{{ABOUT}}}": "1x60"}, ("7m", FIRING, {name: 1.0})) == ""


def test_totals_keep_what_ended(tmp_path: Path) -> None:
    """Two processes, one of which ends after ten minutes: an hour later both are in the total."""
    name = "http_server_request_duration_seconds_count"
    series = {
        f'{name}{{job="shop", instance="a", http_route="/"}}': "60000x10 stale",
        f'{name}{{job="shop", instance="b", http_route="/"}}': "_x10 5x80",
    }
    total = 'flask_chest:requests:total30d{http_route="/", job="shop"}'
    assert promtool(tmp_path, series, ("90m", "flask_chest:requests:total30d", {total: 60005.0})) == ""
    assert "60005" not in promtool(tmp_path, series, ("90m", f"sum({name})", {"{}": 5.0}))


def test_every_alert_has_a_runbook_and_says_what_it_is() -> None:
    """A heading per alert, in the file's order, and an address that leads there."""
    headings = re.findall(r"^## (FlaskChest\w+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    assert headings == list(alerts())
    for name, alert in alerts().items():
        assert alert["annotations"]["runbook"] == f"docs/how-to/alerts.md#{name.lower()}"
        assert alert["labels"]["severity"] in ("warning", "critical")


def test_objects_of_the_operator_hold_the_same_rules() -> None:
    """The PrometheusRule's spec is the rule file; the PodMonitor finds the pods' port."""
    for path in (RULES, TOTALS):
        name = path.name.removesuffix(".rules.yaml")
        document = yaml.safe_load((ALERTS / "kubernetes" / f"{name}.yaml").read_text())
        assert (document["apiVersion"], document["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert document["spec"] == yaml.safe_load(path.read_text())
    monitor = yaml.safe_load((ALERTS / "kubernetes" / "podmonitor.yaml").read_text())
    [expression] = monitor["spec"]["selector"]["matchExpressions"]
    for role in expression["values"]:
        text = (CONFIG / "deploy" / "kubernetes" / f"{role}.yaml").read_text()
        pod = next(yaml.safe_load_all(text))["spec"]["template"]
        assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == role
        [container] = pod["spec"]["containers"]
        assert monitor["spec"]["podMetricsEndpoints"][0]["port"] in {port["name"] for port in container["ports"]}


class Watch:
    """A real Prometheus with the alerts, whose minutes are seconds, and a collector that it scrapes."""

    def __init__(self, folder: Path, collector: Collector) -> None:
        self.collector = collector
        scrape = f"127.0.0.1:{collector.env['CHEST_METRICS_PORT']}"
        self.server = Prometheus(
            folder / "prometheus", scrape=scrape, job="flask-chest-collector", rules=[RULES], lookback_s=5
        )

    def firing(self) -> set[str]:
        """Names of the alerts that fire now, as its interface lists them."""
        found = self.server.api("alerts", {})["alerts"]
        return {one["labels"]["alertname"].removeprefix("FlaskChest") for one in found if one["state"] == "firing"}

    def expect(self, *names: str, within_s: float = 40.0) -> None:
        """Wait until these have fired, each at some time."""
        seen: set[str] = set()

        def missing() -> set[str]:
            seen.update(self.firing())
            return set(names) - seen

        eventually(missing, set(), within_s=within_s)


def send(collector: Collector, times: int = 1, spans: int = 400) -> list[int]:
    body = trace_request(spans, {"text": "x" * 1000})
    return [post(collector.otlp_http, "traces", body) for _ in range(times)]


def test_a_dead_target_through_prometheus(start_collector: StartCollector, tmp_path: Path) -> None:
    """Nothing fires in health; a dead target fires at once, then its queue that fills, is full, and what is lost."""
    dead = f"http://127.0.0.1:{free_port()}"
    settings = {"INFLUXDB_URL": dead, "CHEST_INFLUXDB_QUEUE_BYTES": "5000000"}
    collector = start_collector("influxdb", "file", env=settings)
    watch = Watch(tmp_path, collector)
    with watch.server:
        eventually(lambda: (watch.server.query("up"), watch.firing()), ([1.0], set()))
        assert send(collector) == [200]
        watch.expect("TargetAway")
        assert watch.firing() == {"TargetAway"}
        send(collector, 8)
        watch.expect("QueueFilling")
        send(collector, 20)
        watch.expect("QueueNearlyFull", "QueueRefuses", "DataLost")
        # The other target is well.
        assert "TargetRefuses" not in watch.firing()


def test_a_target_that_refuses_through_prometheus(start_collector: StartCollector, tmp_path: Path) -> None:
    """A target that says 400 to every batch, and a number that cannot be written."""
    with Moody(400) as target:
        collector = start_collector("influxdb", env={"INFLUXDB_URL": target.url})
        watch = Watch(tmp_path, collector)
        with watch.server:
            eventually(lambda: watch.server.query("up"), [1.0])
            assert send(collector) == [200]
            assert post(collector.otlp_http, "metrics", gauge_request("level", [1.0, float("nan")])) == 200
            watch.expect("TargetRefuses", "Unwritable")


SHORT_MEMORY = """
processors:
  memory_limiter:
    {check_interval: 100ms, limit_mib: 30, spike_limit_mib: 20, limit_percentage: 0, spike_limit_percentage: 0}
"""


def test_a_short_memory_through_prometheus(start_collector: StartCollector, tmp_path: Path) -> None:
    """A collector whose memory is short tells applications to wait."""
    short = tmp_path / "short.yaml"
    short.write_text(SHORT_MEMORY)
    collector = start_collector("file", short)
    watch = Watch(tmp_path, collector)
    with watch.server:

        def refuses() -> bool:
            return 503 in send(collector, 20, spans=20_000)

        eventually(refuses, True)  # noqa: FBT003 - the expected answer
        watch.expect("ApplicationsWait")


def test_a_wrong_token_through_prometheus(start_collector: StartCollector, tmp_path: Path) -> None:
    """A caller without the right token is told of."""
    public, key = certificate(tmp_path, "door")
    env = {"CHEST_OTLP_TOKEN": OLD, "CHEST_TLS_CERT": str(public), "CHEST_TLS_KEY": str(key)}
    collector = start_collector("debug", "secure", env=env)
    watch = Watch(tmp_path, collector)
    trust = ssl.create_default_context(cafile=str(public))
    with watch.server:
        eventually(lambda: (watch.server.query("up"), watch.firing()), ([1.0], set()))
        assert send_as(collector.otlp_http, trust, OLD) == 200
        assert watch.firing() == set()
        assert send_as(collector.otlp_http, trust, NEW) == 401
        watch.expect("CallersRefused")


@pytest.mark.parametrize("small_disk", [256], indirect=True)
def test_a_full_disk_through_prometheus(start_collector: StartCollector, tmp_path: Path, small_disk: Path) -> None:
    """Somebody else fills the disk of the queues; applications that are sent away because of it are told of, too."""
    collector = start_collector("file", env={"CHEST_QUEUE_DIR": str(small_disk)})
    watch = Watch(tmp_path, collector)
    with watch.server:
        eventually(lambda: (watch.server.query("up"), watch.firing()), ([1.0], set()))
        fill(small_disk / "ballast")
        assert send(collector) == [503]
        watch.expect("DiskNearlyFull", "ApplicationsWait")


def test_too_many_traces_through_prometheus(start_collector: StartCollector, tmp_path: Path) -> None:
    """More traces than may wait are dropped undecided."""
    whole = render(Composition(("file",), tail_sampling=True))
    collector = start_collector(whole=whole, env={"CHEST_SAMPLING_TRACES": "10"})
    watch = Watch(tmp_path, collector)
    with watch.server:
        eventually(lambda: watch.server.query("up"), [1.0])
        send(collector)
        watch.expect("TracesDroppedUndecided")


def test_a_collector_that_dies_through_prometheus(start_collector: StartCollector, tmp_path: Path) -> None:
    """Killed thrice it restarts too often; killed and not started again it is down."""
    collector = start_collector("file")
    watch = Watch(tmp_path, collector)
    with watch.server:
        for times in range(3):
            eventually(lambda: watch.server.query("otelcol_process_uptime > bool 2"), [1.0])
            collector.kill9()
            collector.start()
            # Seen younger than before.
            eventually(lambda: watch.server.query("resets(otelcol_process_uptime[30s])"), [times + 1.0])
        watch.expect("CollectorRestarts")
        collector.kill9()
        watch.expect("CollectorDown")
    collector.start()


def test_the_collectors_dashboard(start_collector: StartCollector, tmp_path: Path) -> None:
    """Every query is taken by Prometheus; what must have a value has one, and the variable knows the collector."""
    collector = start_collector("file", env={"CHEST_FILE_QUEUE_BYTES": "5000000"})
    watch = Watch(tmp_path, collector)
    dashboard = load("flask-chest-collector-prometheus")
    quiet = {"Lost at the gates", "Refused by targets", "Applications told to try again"}
    with watch.server, Traffic(collector.otlp_http) as traffic:
        lines = LogTraffic(collector.otlp_http)
        for number in range(8):
            traffic.request(f"r-{number}")
            traffic.flush()
            lines.send(f"r-{number}")
            time.sleep(1)
        stop = int(time.time())
        viewer = Viewer(stop - 8, stop, 2)
        [instance] = dashboard["templating"]["list"]
        assert viewer.promql_variable(watch.server, instance) == [f"127.0.0.1:{collector.env['CHEST_METRICS_PORT']}"]
        viewer.choices = {"instance": ".+"}
        answers = {name: viewer.promql(watch.server, target) for name, target in targets(dashboard)}
        empty = {name.rpartition(" ")[0] for name, answer in answers.items() if not answer}
        assert empty <= quiet
        assert any(float(value) > 0 for one in answers["Goes to targets A"] for _, value in one["values"])
