"""Log records that a back end cannot take as they are: they cost nothing but themselves, and mostly not even that."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import jsonl
from tests.backends.aws import Aws
from tests.backends.influxdb1 import InfluxDB1
from tests.backends.log_traffic import LogTraffic
from tests.backends.raw_otlp import set_attribute
from tests.backends.require import require_installed, require_module
from tests.backends.splunk_hec import SplunkHec
from tests.backends.traffic import eventually
from tests.collector.test_poison import NASTY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

DAY_NS = 86_400 * 10**9


def nasty_attributes(record: Any) -> None:
    del record.attributes[:]
    for key in ("http.route", "flask.request_id", "service.name", "service.instance.id", "flask.g.user_id"):
        set_attribute(record.attributes, key, NASTY + "\\")
    set_attribute(record.attributes, NASTY, "value")
    set_attribute(record.attributes, "", "")


def nasty_texts(record: Any) -> None:
    record.severity_text = record.event_name = record.body.string_value = NASTY + "\\"


def long_attributes(record: Any) -> None:
    del record.attributes[:]
    set_attribute(record.attributes, "http.route", "ä" * 70_000)
    set_attribute(record.attributes, "flask.request_id", "x" * 70_000)


def said_twice(record: Any) -> None:
    set_attribute(record.attributes, "http.route", "x" * 70_000)
    set_attribute(record.attributes, "flask.request_id", NASTY)


def not_finite(record: Any) -> None:
    set_attribute(record.attributes, "flask.g.a", float("nan"))


def no_ids(record: Any) -> None:
    record.trace_id = record.span_id = b""


def no_time(record: Any) -> None:
    record.time_unix_nano = 0


def no_time_at_all(record: Any) -> None:
    record.time_unix_nano = record.observed_time_unix_nano = 0


def cut_by_the_sdk(record: Any) -> None:
    record.dropped_attributes_count = 3


def bodiless(record: Any) -> None:
    record.ClearField("body")
    record.event_name = ""


def empty_text(record: Any) -> None:
    record.body.string_value = record.event_name = ""


def empty_map(record: Any) -> None:
    record.body.kvlist_value.SetInParent()


def nested_body(record: Any) -> None:
    pair = record.body.kvlist_value.values.add()
    pair.key = "order\n"
    pair.value.array_value.values.add().int_value = 7


def whole_number(record: Any) -> None:
    record.body.int_value = 7


POISONS: list[Callable[[Any], None]] = [
    nasty_attributes,
    nasty_texts,
    long_attributes,
    said_twice,
    not_finite,
    no_ids,
    no_time,
    no_time_at_all,
    cut_by_the_sdk,
    bodiless,
    empty_text,
    empty_map,
    nested_body,
    whole_number,
]
EVERY = {poison.__name__: 6 for poison in POISONS}


def send(url: str) -> None:
    """Send two requests' records for each poison in a batch of its own, one of the six poisoned."""
    for poison in POISONS:
        waiting = [poison]

        def change(record: Any, waiting: list[Callable[[Any], None]] = waiting) -> None:
            if waiting:
                waiting.pop()(record)

        LogTraffic(url, service=poison.__name__).send("a", "b", change=change)


def test_influxdb(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """InfluxDB has all six records of each batch, none in 1970, and under a tag that it can hold."""
    started_ns = time.time_ns()
    collector = start_collector("influxdb", env=influxdb.collector_env)
    send(collector.otlp_http)

    def arrived() -> dict[str, int]:
        rows = influxdb.influxql(f'SELECT count(body) AS n FROM logs WHERE time > {started_ns} GROUP BY "service.name"')
        return {row["service.name"]: row["n"] for row in rows}

    eventually(arrived, EVERY)
    query = 'SELECT "flask.request_id" AS id, "http.route" AS route, attributes, body FROM logs WHERE "service.name"='
    ids = {row["id"] for row in influxdb.influxql(query + "'nasty_attributes'")}
    assert ids == {"a", "b", "a b   ,= \"'"}
    routes = {len(str(row["route"]).encode()) for row in influxdb.influxql(query + "'long_attributes'")}
    assert max(routes) == 4096
    # JSON, in which the exporter writes the attributes, has no NaN: that record comes without them.
    attributes = [json.loads(row["attributes"] or "{}") for row in influxdb.influxql(query + "'nasty_attributes'")]
    assert {one.get("flask.g.user_id") for one in attributes} == {None, NASTY + "\\"}
    assert {one.get("log.service.name") for one in attributes} == {None, NASTY + "\\"}


def test_influxdb_1(start_collector: StartCollector, tmp_path: Path) -> None:
    """So has InfluxDB 1.x, which knows no unsigned numbers: there a NaN costs its record."""
    require_installed("influxd", "influxdb")
    with InfluxDB1(tmp_path / "influxdb1") as server:
        collector = start_collector("influxdb1", env=server.collector_env)
        send(collector.otlp_http)

        def arrived() -> dict[str, int]:
            rows = server.influxql('SELECT count(body) AS n FROM logs GROUP BY "service.name"')
            return {row["service.name"]: row["n"] for row in rows}

        eventually(arrived, EVERY | {"not_finite": 5})


def test_splunk_hec(start_collector: StartCollector) -> None:
    """Splunk has all of them too, those without a body as an event that it takes; a NaN costs its record alone."""
    with SplunkHec() as splunk:
        collector = start_collector("splunk_hec", env={"SPLUNK_HEC_URL": splunk.url})
        send(collector.otlp_http)

        def arrived() -> dict[str, int]:
            services = [one["fields"]["service.name"] for one in splunk.events]
            return {name: services.count(name) for name in EVERY}

        eventually(arrived, EVERY | {"not_finite": 5, "nasty_attributes": 5})
        assert {one["event"] for one in splunk.search("service.name", "bodiless")} >= {"-"}
        assert splunk.refused == 0


def test_cloudwatch_logs(start_collector: StartCollector, tmp_path: Path) -> None:
    """CloudWatch Logs has them, and beside one that is too old for it, or of the future, every other one, once."""
    require_module("moto.server", "moto[server]")
    ages = iter([0, -15 * DAY_NS, 0, DAY_NS, 0, 0])

    def aged(record: Any) -> None:
        record.time_unix_nano += next(ages)

    with Aws(tmp_path / "aws") as aws:
        collector = start_collector("aws", env=aws.collector_env)
        send(collector.otlp_http)
        LogTraffic(collector.otlp_http, service="aged").send("a", "b", change=aged)

        def arrived() -> dict[str, int]:
            lines = aws.log_lines('"service.name"')
            services = [one["resource"]["service.name"] for one in lines]
            return {name: services.count(name) for name in (*EVERY, "aged")}

        # What JSON cannot say is left out.
        eventually(arrived, {**EVERY, "not_finite": 5, "aged": 4})
        lost = {"exporter": "awscloudwatchlogs", "kept": "lost"}
        assert collector.own_metric("otelcol_chest_target_refusals", **lost) == 1
        time.sleep(3)
        assert arrived()["aged"] == 4


def test_the_file_keeps_poison_as_it_came(start_collector: StartCollector) -> None:
    """JSON can say everything: the file target changes nothing."""
    collector = start_collector("file")
    send(collector.otlp_http)
    path = collector.folder / "telemetry.jsonl"
    eventually(lambda: len(jsonl.logs(path)), 6 * len(POISONS))
    texts = [one for one in jsonl.logs(path) if one.get("severityText") == NASTY + "\\"]
    assert [one["body"]["stringValue"] for one in texts] == [NASTY + "\\"]
