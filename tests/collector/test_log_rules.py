"""What holds for spans holds for log records: destinations, secrets, refusals, the choice of signals."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from flask_chest_otel._cli.collector import command
from flask_chest_otel._collector import Composition, render
from flask_chest_otel._collector.check import problems
from tests.backends import jsonl
from tests.backends.aws import Aws
from tests.backends.log_traffic import LogTraffic
from tests.backends.moody import Moody
from tests.backends.raw_otlp import post, set_attribute, trace_request
from tests.backends.require import require_built, require_module
from tests.backends.splunk_hec import TOKEN, SplunkHec
from tests.backends.traffic import eventually
from tests.backends.victorialogs import VictoriaLogs
from tests.collector.test_refusals import letters
from tests.collector.test_sampling_redaction import LEAKS, MASK, SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

COUNT = "SELECT count(body) AS n FROM logs"


def test_each_target_gets_its_own(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Records of a route that names its destinations arrive there and nowhere else; HEC is Splunk, too."""
    routes = ["influxdb", "file", "splunk", "splunk_hec", "file,influxdb", "influxdb1", "myfile,xinfluxdb", ""]
    with SplunkHec() as splunk:
        env = {**influxdb.collector_env, "SPLUNK_HEC_URL": splunk.url}
        collector = start_collector("influxdb", "file", "splunk_hec", env=env)
        traffic = LogTraffic(collector.otlp_http)
        traffic.send("everywhere")
        for chests in routes:
            traffic.send(f"for {chests}", chests=chests)
        path = collector.folder / "telemetry.jsonl"
        expected = {"everywhere", "for file", "for file,influxdb"}
        eventually(lambda: {one["attributes"]["flask.request_id"] for one in jsonl.logs(path)}, expected)
        ids = 'SELECT body, "flask.request_id" AS id FROM logs'
        expected = {"everywhere", "for influxdb", "for file,influxdb"}
        eventually(lambda: {row["id"] for row in influxdb.influxql(ids)}, expected)
        expected = {"everywhere", "for splunk", "for splunk_hec"}
        eventually(lambda: {one["fields"]["flask.request_id"] for one in splunk.events}, expected)


def test_secrets_reach_no_target(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """Secrets in the attributes and in the body of a log record arrive masked, everything else as it was."""

    def tell(record: Any) -> None:
        for key, value in SECRETS.items():
            set_attribute(record.attributes, key, value)
        record.body.string_value = SECRETS["text"]

    text = render(Composition(("influxdb", "file"), redaction=True))
    collector = start_collector(whole=text, env=influxdb.collector_env)
    traffic = LogTraffic(collector.otlp_http)
    traffic.send("r-1", change=tell)
    traffic.send("r-2")
    path = collector.folder / "telemetry.jsonl"
    eventually(lambda: len(jsonl.logs(path)), 6)
    eventually(lambda: [row["n"] for row in influxdb.influxql(COUNT)], [6])
    everything = path.read_text() + str(influxdb.influxql("SELECT * FROM logs"))
    assert [leak for leak in LEAKS if leak in everything] == []
    told = [one for one in jsonl.logs(path) if one["attributes"]["flask.request_id"] == "r-1"]
    assert {one["body"]["stringValue"] for one in told} == {f"card {MASK}, {MASK}"}
    assert {one["attributes"]["db.password"] for one in told} == {MASK}
    bodies = {one["body"].get("stringValue") for one in jsonl.logs(path)}
    assert {line.body for line in traffic.logged["r-2"] if line.body} <= bodies


def test_sampling_drops_no_log_record(start_collector: StartCollector) -> None:
    """Of the traces nothing is kept, of the log records everything is."""
    text = render(Composition(("file",), tail_sampling=True))
    collector = start_collector(whole=text, env={"CHEST_KEEP_PERCENT": "0", "CHEST_SAMPLING_WAIT": "1s"})
    assert post(collector.otlp_http, "traces", trace_request(50)) == 200
    LogTraffic(collector.otlp_http).serve(1, 50)
    path = collector.folder / "telemetry.jsonl"
    eventually(lambda: len(jsonl.logs(path)), 150)
    dropped = partial(collector.own_metric, "otelcol_processor_tail_sampling_count_traces_sampled")
    eventually(lambda: dropped(decision="not_sampled") >= 50, expected=True)
    assert jsonl.spans(path) == []


def test_logs_alone(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """`--target influxdb:logs` brings log records into the spans' bucket, and no span."""
    done = CliRunner().invoke(command, ["render", "--target", "influxdb:logs", "--target", "file"])
    collector = start_collector(whole=done.stdout, env=influxdb.collector_env)
    assert post(collector.otlp_http, "traces", trace_request(3)) == 200
    LogTraffic(collector.otlp_http).send("r-1")
    eventually(lambda: [row["n"] for row in influxdb.influxql(COUNT)], [3])
    eventually(lambda: len(jsonl.spans(collector.folder / "telemetry.jsonl")), 3)
    assert influxdb.influxql("SELECT * FROM spans") == []
    composition = Composition(("influxdb",), signals={"influxdb": frozenset({"logs"})})
    env = {**influxdb.collector_env, "INFLUXDB_BUCKET": "nowhere", "INFLUXDB_SPANS_BUCKET": "not there"}
    [problem] = [one for one in problems(composition, render(composition), env) if "bucket" in one]
    assert "has no bucket 'not there'" in problem


@pytest.mark.parametrize("status", [401, 402, 404, 429])
def test_a_quota_loses_nothing(status: int, start_collector: StartCollector) -> None:
    """While Splunk refuses the token, the address or the quota the records wait; then they arrive, each once."""
    with SplunkHec(status=status) as splunk:
        collector = start_collector("splunk_hec", env={"SPLUNK_HEC_URL": splunk.url})
        LogTraffic(collector.otlp_http).send("r-1")
        refused = {"exporter": "splunk_hec", "kept": "queue", "status": str(status)}
        eventually(lambda: collector.own_metric("otelcol_chest_target_refusals", **refused) > 1, expected=True)
        splunk.status = 200
        eventually(lambda: len(splunk.events), 3)
    assert letters(collector) == []


@pytest.mark.parametrize("status", [400, 413, 422])
def test_refused_content_is_kept_and_sent_again(
    status: int, start_collector: StartCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Splunk refuses for its content is tried once, kept without the token, and brought in by `resend`."""
    with SplunkHec(status=status) as splunk:
        env = {"SPLUNK_HEC_URL": splunk.url, "SPLUNK_HEC_TOKEN": TOKEN}
        collector = start_collector("splunk_hec", env=env)
        LogTraffic(collector.otlp_http).send("r-1")
        eventually(lambda: len(letters(collector)), 1)
        eventually(lambda: collector.own_metric("otelcol_exporter_send_failed_log_records", exporter="splunk_hec"), 3)
        path = collector.folder / "queue" / "refused" / "refused.jsonl"
        assert TOKEN not in path.read_text()
        splunk.status = 200
        for name, value in {**env, "CHEST_QUEUE_DIR": collector.env["CHEST_QUEUE_DIR"]}.items():
            monkeypatch.setenv(name, value)
        done = CliRunner().invoke(command, ["resend"])
        assert (done.exit_code, done.output) == (0, "Sent again: 1. Refused again, and still kept: 0.\n")
        assert len(splunk.events) == 3


def test_no_application_chooses_the_index(start_collector: StartCollector) -> None:
    """One that names a token or an index of its own is taken with the collector's, and holds nobody up."""

    def choose(record: Any) -> None:
        set_attribute(record.attributes, "com.splunk.index", "of-somebody-else")
        set_attribute(record.attributes, "com.splunk.hec.access_token", "of-somebody-else")

    with SplunkHec() as splunk:
        collector = start_collector("splunk_hec", env={"SPLUNK_HEC_URL": splunk.url})
        traffic = LogTraffic(
            collector.otlp_http, resource={"com.splunk.hec.access_token": "x", "com.splunk.index": "y"}
        )
        traffic.send("r-1", change=choose)
        eventually(lambda: len(splunk.events), 3)
        assert {one.get("index", "") for one in splunk.events} == {""}
        assert "of-somebody-else" not in json.dumps(splunk.events)
    assert collector.own_metric("otelcol_chest_target_refusals") == 0


def test_check_asks_splunk() -> None:
    """`check` tells a wrong token from a good one, and from nobody."""
    with SplunkHec() as splunk:
        composition = Composition(("splunk_hec",))

        def said(env: dict[str, str]) -> str:
            found = problems(composition, render(composition), env)
            return "\n".join(one for one in found if one.startswith("splunk_hec"))

        assert "SPLUNK_HEC_TOKEN is not set" in said({})
        wrong = {"SPLUNK_HEC_URL": splunk.url, "SPLUNK_HEC_TOKEN": "wrong"}
        assert "refuses the credentials (403). Type: export SPLUNK_HEC_TOKEN=…" in said(wrong)
        assert said(wrong | {"SPLUNK_HEC_TOKEN": TOKEN}) == ""
        assert "nobody answers" in said({"SPLUNK_HEC_URL": "http://127.0.0.1:9", "SPLUNK_HEC_TOKEN": TOKEN})


def test_aws_is_asked_again(start_collector: StartCollector, tmp_path: Path) -> None:
    """While AWS refuses the quota, log records wait; they arrive when that is mended."""
    require_module("moto.server", "moto[server]")
    aws = Aws(tmp_path / "aws")
    collector = start_collector("aws", env=aws.collector_env)
    with Moody(400, port=aws.port) as refusing:
        refusing.headers = {"X-Amzn-ErrorType": "ThrottlingException"}
        LogTraffic(collector.otlp_http).send("r-1")
        labels = {"exporter": "awscloudwatchlogs", "kept": "queue", "status": "400"}
        eventually(
            lambda: collector.own_metric("otelcol_chest_target_refusals", **labels) > 1, expected=True, within_s=40
        )
        # Connections that are open would be answered on.
        refusing.mood = "reset"
    with aws:
        eventually(lambda: len({json.dumps(one) for one in aws.log_lines('"r-1"')}), 3, within_s=120)
    assert collector.own_metric("otelcol_chest_target_refusals", kept="lost") == 0


def test_what_aws_refuses_for_its_content_is_not_asked_again(start_collector: StartCollector, tmp_path: Path) -> None:
    """It is put aside and counted, and what comes behind it arrives."""
    require_module("moto.server", "moto[server]")
    aws = Aws(tmp_path / "aws")
    collector = start_collector("aws", env=aws.collector_env)
    with Moody(400, port=aws.port) as refusing:
        refusing.headers = {"X-Amzn-ErrorType": "InvalidParameterException"}
        LogTraffic(collector.otlp_http).send("r-1")
        labels = {"exporter": "awscloudwatchlogs", "kept": "file", "status": "400"}
        eventually(lambda: collector.own_metric("otelcol_chest_target_refusals", **labels), 1, within_s=40)
        refusing.mood = "reset"
    with aws:
        LogTraffic(collector.otlp_http).send("r-2")
        eventually(lambda: len(aws.log_lines('"r-2"')), 3, within_s=60)
        assert aws.log_lines('"r-1"') == []


SHOP = """
from flask import Flask, g
from flask_chest_otel import FlaskChest, flask_chest
app = Flask("shop")
chest = FlaskChest(app, tracked_vars=["cart_total"], events="all")
@app.get("/cart/<int:number>")
def cart(number):
    g.cart_total = 12.5
    return str(number)
@app.get("/inside")
@flask_chest(chests=["file"])
def inside():
    return ""
client = app.test_client()
print(*(client.get(path).headers["X-Request-ID"] for path in ("/cart/1", "/cart/2", "/inside")))
"""


def test_what_an_application_logs_of_itself(
    start_collector: StartCollector, tmp_path: Path, run_python: Callable[..., str]
) -> None:
    """The event of a request of a real application is found in VictoriaLogs by the id that its caller was told."""
    require_built("victoria-logs")
    with VictoriaLogs(tmp_path / "victorialogs") as server:
        collector = start_collector("otlp", "file", env=server.collector_env)
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.otlp_http, "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox")}
        told = run_python(SHOP, env | {"NO_PROXY": "127.0.0.1"}).split()
        path = collector.folder / "telemetry.jsonl"
        eventually(lambda: {one["attributes"]["flask.request_id"] for one in jsonl.logs(path)}, set(told))
        query = f'flask.request_id:="{told[1]}"'
        wanted = [("flask_chest.request", "/cart/<int:number>", "12.5")]
        eventually(
            lambda: [(row["event_name"], row["http.route"], row["flask.g.cart_total"]) for row in server.query(query)],
            wanted,
        )
        assert server.query(f'flask.request_id:="{told[2]}"') == []
