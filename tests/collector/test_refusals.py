"""What a target refuses: what an operator can end waits in the queue, the rest is kept and can be sent again."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from flask_chest_otel._cli.collector import command
from tests.backends.moody import Moody
from tests.backends.raw_otlp import gauge_request, post, trace_request
from tests.backends.traffic import eventually

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.backends.collector import Collector
    from tests.backends.influxdb2 import InfluxDB2
    from tests.collector.conftest import StartCollector

pytestmark = pytest.mark.real

COUNT = "SELECT count(duration_nano) AS count FROM spans"


def letters(collector: Collector) -> list[dict[str, Any]]:
    """Return what is kept of what was refused for its content."""
    path = collector.folder / "queue" / "refused" / "refused.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_wrong_token_loses_nothing(start_collector: StartCollector, influxdb: InfluxDB2) -> None:
    """With a wrong token the data wait in the queue, counted and told; with the right one they arrive."""
    collector = start_collector("influxdb", env={**influxdb.collector_env, "INFLUXDB_TOKEN": "wrong"})
    for _ in range(5):
        assert post(collector.otlp_http, "traces", trace_request(10)) == 200
    eventually(lambda: "401 Unauthorized" in collector.log(), expected=True)
    refused = {"exporter": "influxdb", "kept": "queue", "status": "401"}
    assert collector.own_metric("otelcol_chest_target_refusals", **refused) > 0
    assert collector.own_metric("otelcol_exporter_send_failed_spans", exporter="influxdb") == 0
    collector.stop()
    collector.env["INFLUXDB_TOKEN"] = influxdb.collector_env["INFLUXDB_TOKEN"]
    collector.start()
    eventually(lambda: [row["count"] for row in influxdb.influxql(COUNT)], [50], within_s=40)
    assert letters(collector) == []


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_a_quota_loses_nothing(status: int, start_collector: StartCollector) -> None:
    """An OTLP target that refuses with this status for a while gets every span later."""
    with Moody(status) as target:
        collector = start_collector("otlp", env={"OTLP_TARGET_URL": target.url})
        assert post(collector.otlp_http, "traces", trace_request(10)) == 200
        eventually(lambda: len(target.attempts) > 1, expected=True)
        target.mood = "ok"
        target.receiver.wait_for_spans(10)
    assert letters(collector) == []


def test_refused_content_is_kept_and_sent_again(
    start_collector: StartCollector, influxdb: InfluxDB2, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What InfluxDB refuses for its content is kept in a file without the token, and `resend` brings it in."""
    with Moody(400) as strict:
        env = {**influxdb.collector_env, "INFLUXDB_URL": strict.url}
        collector = start_collector("influxdb", env=env)
        assert post(collector.otlp_http, "metrics", gauge_request("load", [1.0, 2.0])) == 200
        eventually(lambda: len(letters(collector)), 1)
    [kept] = letters(collector)
    assert kept["exporter"] == "influxdb/metrics"
    assert kept["status"] == 400
    assert base64.b64decode(kept["body"]).startswith(b"load,")
    path = collector.folder / "queue" / "refused" / "refused.jsonl"
    assert influxdb.token not in path.read_text()
    assert collector.own_metric("otelcol_chest_target_refusals", kept="file") == 1
    for name, value in {**influxdb.collector_env, "CHEST_QUEUE_DIR": collector.env["CHEST_QUEUE_DIR"]}.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(command, ["resend"])
    assert (done.exit_code, done.output) == (0, "Sent again: 1. Refused again, and still kept: 0.\n")
    assert [row["n"] for row in influxdb.influxql("SELECT count(gauge) AS n FROM load")] == [2]
    assert letters(collector) == []


def test_what_is_refused_again_stays(start_collector: StartCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    """`resend` keeps what the target refuses once more, and ends with status 1."""
    with Moody(400) as target:
        collector = start_collector("otlp", env={"OTLP_TARGET_URL": target.url})
        assert post(collector.otlp_http, "traces", trace_request(3)) == 200
        eventually(lambda: len(letters(collector)), 1)
        before = letters(collector)
        monkeypatch.setenv("CHEST_QUEUE_DIR", collector.env["CHEST_QUEUE_DIR"])
        monkeypatch.setenv("OTLP_TARGET_URL", target.url)
        done = CliRunner().invoke(command, ["resend"])
        assert done.exit_code == 1
        assert "still kept: 1" in done.output
        assert letters(collector) == before
        target.mood = "ok"
        assert CliRunner().invoke(command, ["resend"]).exit_code == 0
        assert len(target.receiver.wait_for_spans(3)) == 3
    assert letters(collector) == []


def wait_for_attempt(target: Moody, number: int) -> None:
    """Each batch a request of its own: the next one is not sent before."""
    eventually(lambda: len(target.attempts), number)


def test_the_file_is_bounded(start_collector: StartCollector) -> None:
    """The files of what was refused are together no larger than their bound; the newest is kept."""
    with Moody(400) as target:
        env = {"OTLP_TARGET_URL": target.url, "CHEST_REFUSED_BYTES": "100000"}
        collector = start_collector("otlp", env=env)
        for number in range(20):
            body = trace_request(10, {"text": os.urandom(5000).hex()}, name=f"batch {number}")
            assert post(collector.otlp_http, "traces", body) == 200
            wait_for_attempt(target, number + 1)
        folder: Path = collector.folder / "queue" / "refused"
        eventually(lambda: collector.own_metric("otelcol_chest_target_refusals", kept="file"), 20)
        assert 50_000 < sum(path.stat().st_size for path in folder.iterdir()) <= 100_000
