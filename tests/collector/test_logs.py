"""Log records behind each target: the query that finds those of one request gives back what was logged.

Each back end is away at first, and the collector is killed meanwhile.
"""

from __future__ import annotations

import calendar
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import jsonl
from tests.backends.aws import Aws
from tests.backends.clickhouse import ClickHouse
from tests.backends.influxdb1 import InfluxDB1
from tests.backends.kafka import Kafka
from tests.backends.log_traffic import EVENT, Line, LogTraffic
from tests.backends.require import require_built, require_installed, require_module
from tests.backends.server import free_port
from tests.backends.splunk_hec import SplunkHec
from tests.backends.traffic import eventually
from tests.backends.victorialogs import VictoriaLogs

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.collector import Collector
    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

REQUESTS, RECORDS = 200, 600
MS = 1_000_000

INFLUXQL = "SELECT body, severity_text, attributes, trace_id FROM logs WHERE \"flask.request_id\"='r-10'"
SQL = """
    SELECT toUnixTimestamp64Nano(Timestamp) AS time, SeverityText, Body, LogAttributes['event.name'] AS name, TraceId
    FROM chest.otel_logs WHERE LogAttributes['flask.request_id'] = 'r-10' ORDER BY Timestamp
"""
LOGSQL = 'flask.request_id:="r-10" | sort by (_time)'
NO_MESSAGE = "missing _msg field; see https://docs.victoriametrics.com/victorialogs/keyconcepts/#message-field"
"""What VictoriaLogs writes where a record has no body."""

FILTER_PATTERN = '""flask.request_id":"r-10""'
"""In the console each inner quotation mark has a backslash before it, which moto does not know."""


def through_a_kill(collector: Collector) -> LogTraffic:
    """Log what all requests log, one half before a `kill -9` and one behind it; one request is for nobody here."""
    traffic = LogTraffic(collector.otlp_http)
    traffic.serve(1, REQUESTS // 2)
    traffic.send("elsewhere", chests="nobody")
    collector.kill9()
    collector.start()
    traffic.serve(REQUESTS // 2 + 1, REQUESTS)
    return traffic


def nanoseconds(text: str) -> int:
    """The time of an RFC 3339 text, which no type of Python's holds."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * 10**9 + int(fraction.ljust(9, "0"))


def influx_line(row: dict[str, Any]) -> Line:
    event = json.loads(row["attributes"] or "{}").get("event.name", "")
    return Line(nanoseconds(row["time"]), row["severity_text"], row["body"], event, row["trace_id"])


def influx_lines(logged: list[Line]) -> list[Line]:
    """What InfluxDB makes of them: a line break becomes a backslash and an n, which nothing reads back."""
    return [line._replace(body=line.body.replace("\n", "\\n")) for line in logged]


def test_influxdb(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """InfluxQL finds the three records of a request by its id, to the nanosecond."""
    collector = start_collector("influxdb", env=influxdb.collector_env)
    influxdb.stop()
    traffic = through_a_kill(collector)
    influxdb.start()
    count = "SELECT count(body) AS n FROM logs"
    eventually(lambda: [row["n"] for row in influxdb.influxql(count)], [RECORDS], within_s=40)
    rows = influxdb.influxql(INFLUXQL)
    assert [influx_line(row) for row in rows] == influx_lines(traffic.logged["r-10"])
    assert json.loads(rows[-1]["attributes"])["flask.g.cart_total"] == 12.5


def test_influxdb_1(start_collector: StartCollector, tmp_path: Path) -> None:
    """The same query finds the same in InfluxDB 1.x."""
    require_installed("influxd", "influxdb")
    with InfluxDB1(tmp_path / "influxdb1") as server:
        collector = start_collector("influxdb1", env=server.collector_env)
        server.stop()
        traffic = through_a_kill(collector)
        server.start()
        count = "SELECT count(body) AS n FROM logs"
        eventually(lambda: [row["n"] for row in server.influxql(count)], [RECORDS], within_s=40)
        assert [influx_line(row) for row in server.influxql(INFLUXQL)] == influx_lines(traffic.logged["r-10"])


def test_clickhouse(start_collector: StartCollector, tmp_path: Path) -> None:
    """SQL finds the three records of a request by its id, the event by its name."""
    require_module("chdb", "chdb")
    with ClickHouse(tmp_path / "clickhouse") as server:
        collector = start_collector("clickhouse", env=server.collector_env)
        server.stop()
        collector.env["CLICKHOUSE_CREATE_SCHEMA"] = "false"
        traffic = through_a_kill(collector)
        server.start()
        count = "SELECT count() AS n FROM chest.otel_logs"
        eventually(lambda: server.query(count), [{"n": RECORDS}], within_s=40)
        found = [
            Line(int(row["time"]), row["SeverityText"], row["Body"], row["name"], row["TraceId"])
            for row in server.query(SQL)
        ]
        assert found == traffic.logged["r-10"]
        events = f"SELECT count() AS n FROM chest.otel_logs WHERE LogAttributes['event.name'] = '{EVENT}'"
        assert server.query(events) == [{"n": REQUESTS}]
        collector.stop()


def victoria_line(row: dict[str, str]) -> Line:
    body = row["_msg"].removeprefix(NO_MESSAGE)
    return Line(
        nanoseconds(row["_time"]), row["severity_text"], body, row.get("event_name", ""), row.get("trace_id", "")
    )


def test_victorialogs(start_collector: StartCollector, tmp_path: Path) -> None:
    """By `otlp.yaml` into VictoriaLogs: LogsQL finds the three records of a request by its id."""
    require_built("victoria-logs")
    server = VictoriaLogs(tmp_path / "victorialogs")
    collector = start_collector("otlp", env=server.collector_env)
    traffic = through_a_kill(collector)
    with server:
        eventually(lambda: server.query("* | stats count() n"), [{"n": str(RECORDS)}], within_s=40)
        # What has come is found by its fields a moment later than it is counted.
        eventually(lambda: [victoria_line(row) for row in server.query(LOGSQL)], traffic.logged["r-10"])
        collector.stop()


def cloudwatch_line(one: dict[str, Any]) -> Line:
    event = one["attributes"].get("event.name", "")
    return Line(one["timestamp"] * MS, one["severity_text"], one.get("body", ""), event, one["trace_id"])


def test_cloudwatch_logs(start_collector: StartCollector, tmp_path: Path) -> None:
    """A filter pattern of CloudWatch Logs finds the three records of a request by its id, to the millisecond."""
    require_module("moto.server", "moto[server]")
    aws = Aws(tmp_path / "aws")
    collector = start_collector("aws", env=aws.collector_env)
    traffic = through_a_kill(collector)
    with aws:
        # A batch that comes while AWS answers again comes twice: the exporter takes one failure for that of all.
        eventually(
            lambda: len({cloudwatch_line(one) for one in aws.log_lines('"flask.request_id"')}), RECORDS, within_s=60
        )
        found = dict.fromkeys(map(cloudwatch_line, aws.log_lines(FILTER_PATTERN)))
        assert list(found) == [line._replace(time_ns=line.time_ns // MS * MS) for line in traffic.logged["r-10"]]
        [event] = {one["attributes"]["flask.g.cart_total"] for one in aws.log_lines(f'"{EVENT}"')}
        assert event == 12.5


def test_splunk_hec(start_collector: StartCollector) -> None:
    """The events with a request's id in their indexed field are what was logged, also the one without a body."""
    port = free_port()
    collector = start_collector("splunk_hec", env={"SPLUNK_HEC_URL": f"http://127.0.0.1:{port}"})
    traffic = through_a_kill(collector)
    with SplunkHec(port=port) as splunk:
        eventually(lambda: len(splunk.events), RECORDS, within_s=40)
        found = [
            Line(
                round(float(one["time"]) * 1000) * MS,
                one["fields"]["otel.log.severity.text"],
                one["event"],
                one["fields"].get("otel.log.name", ""),
                one["fields"]["trace_id"],
            )
            for one in splunk.search("flask.request_id", "r-10")
        ]
        logged = [line._replace(time_ns=round(line.time_ns / MS) * MS) for line in traffic.logged["r-10"]]
        assert found == [line._replace(body=line.body or line.event) for line in logged]
        assert {one["sourcetype"] for one in splunk.events} == {"flask_chest"}
        collector.stop()


def test_kafka(start_collector: StartCollector, influxdb: InfluxDB2, tmp_path: Path) -> None:
    """Through a broker that was down, and a second collector, into InfluxDB."""
    require_installed("java", "default-jre-headless")
    require_built("kafka")
    kafka = Kafka(tmp_path / "kafka")
    first = start_collector("kafka", env=kafka.collector_env)
    traffic = through_a_kill(first)
    with kafka:
        start_collector("influxdb", "kafka_consumer", env={**kafka.collector_env, **influxdb.collector_env})
        count = "SELECT count(body) AS n FROM logs"
        eventually(lambda: [row["n"] for row in influxdb.influxql(count)], [RECORDS], within_s=60)
        assert [influx_line(row) for row in influxdb.influxql(INFLUXQL)] == influx_lines(traffic.logged["r-10"])
        # Without the broker it would wait for it.
        first.stop()


def test_file_and_log(start_collector: StartCollector) -> None:
    """The file has each record as it came, and the collector's own log shows them, whomever they are for."""
    collector = start_collector("file", "debug", env={"CHEST_DEBUG_VERBOSITY": "normal"})
    traffic = through_a_kill(collector)
    path = collector.folder / "telemetry.jsonl"
    eventually(lambda: len(jsonl.logs(path)), RECORDS)
    found = [
        Line(
            int(one["timeUnixNano"]),
            one["severityText"],
            one.get("body", {}).get("stringValue", ""),
            one.get("eventName", ""),
            one["traceId"],
        )
        for one in jsonl.logs(path)
        if one["attributes"]["flask.request_id"] == "r-10"
    ]
    assert found == traffic.logged["r-10"]
    eventually(lambda: "paying elsewhere" in collector.log(), expected=True)
