"""The example applications do what their pages say, and telemetry agrees with what they answered."""

from __future__ import annotations

import math
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from examples.predecessor import app as predecessor
from examples.shop import app as shop
from examples.shop import demo, traffic
from flask_chest_otel import trace_id_for
from flask_chest_otel.testing import capture
from tests.docs.pages import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from flask_chest_otel.testing import RequestRecord

SAMPLE = """
def index():
    g.start = time.time()
    g.transaction = 1
    g.response_time = time.time() - g.start
    return "Hello, World!"
"""
"""The view of Flask-Chest's own example, to the letter."""

Group = dict[tuple["str | None", str], list["RequestRecord"]]


@pytest.fixture
def served(tmp_path: Path) -> tuple[dict[str, Any], list[RequestRecord]]:
    """The report of 300 requests, and their records."""
    app = shop.create_app(str(tmp_path))
    app.testing = True  # no store
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.logger.disabled = True
    with capture(app) as records:
        answers = traffic.run(traffic.plan(300), traffic.in_process(app))
    return traffic.report(answers), records


def test_the_traffic_is_the_same_each_time() -> None:
    """A seed stands for one list of requests; a longer list begins with the shorter one."""
    assert traffic.plan(50, seed=7) == traffic.plan(60, seed=7)[:50]
    assert traffic.plan(50, seed=7) != traffic.plan(50, seed=8)


def test_telemetry_agrees_with_the_responses(served: tuple[dict[str, Any], list[RequestRecord]]) -> None:
    """Transactions and the sum of response times per route and method are exactly what the client was told."""
    report, records = served
    groups: Group = defaultdict(list)
    for record in records:
        groups[record.route, record.method].append(record)
    assert {(row["route"], row["method"]): row["transactions"] for row in report["routes"]} == {
        key: sum(record.variables["transaction"] for record in group) for key, group in groups.items()
    }
    for row in report["routes"]:
        group = groups[row["route"], row["method"]]
        assert row["response_time_sum_s"] == math.fsum(record.variables["response_time"] for record in group)


def test_the_traffic_is_of_every_kind(served: tuple[dict[str, Any], list[RequestRecord]]) -> None:
    """Handled and unhandled failures, pages that are not there, streams; the health check is not recorded."""
    report, records = served
    assert set(report["total"]["statuses"]) == {"200", "402", "404", "500"}
    assert {record.route for record in records} >= {None, "/export", "/checkout"}
    assert report["not_recorded"] > 0
    assert not [record for record in records if record.route == "/health"]


def test_both_sides_of_the_shop_call_the_header_alike() -> None:
    """The traffic needs nothing but the standard library, so it has the name once more."""
    assert traffic.RESPONSE_TIME_HEADER == shop.RESPONSE_TIME_HEADER


def test_the_demonstration_shows_what_a_user_came_for(tmp_path: Path) -> None:
    """It ends well, and every command that it shows can be pasted."""
    folder = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "examples.shop.demo", "--folder", str(folder)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert str(folder) in done.stdout
    assert "TRANSACTIONS" in done.stdout
    assert "order-0300" in done.stdout
    shown = done.stdout.partition("To look further:")[2].splitlines()
    commands = [line.strip() for line in shown if line.startswith("  ") and not line.startswith("  #")]
    assert commands == [shlex.join(command) for _, command in demo.further(folder / demo.STORE)]
    for command in commands:
        output = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=True)
        assert output.stdout.strip(), command


@pytest.fixture
def moved() -> list[RequestRecord]:
    """Records of a GET and a POST to the predecessor's sample application."""
    predecessor.app.testing = True
    with capture(predecessor.app) as records:
        client = predecessor.app.test_client()
        assert client.get("/api-endpoint").text == client.post("/api-endpoint").text == "Hello, World!"
    return records


def test_the_sample_of_the_predecessor_records_its_two_indicators(moved: list[RequestRecord]) -> None:
    """Transactions of GET and POST, the response time of POST; for the two targets that the route names."""
    get, post = moved
    assert get.variables == {"transaction": 1}
    assert set(post.variables) == {"transaction", "response_time"}
    assert get.chests == post.chests == ("influxdb", "signalfx")
    assert [(one.metric, one.kind) for one in post.metrics] == [
        ("flask.g.transaction", "histogram"),
        ("flask.g.response_time", "histogram"),
    ]


def test_the_sample_of_the_predecessor_keeps_its_request_ids(moved: list[RequestRecord]) -> None:
    """They come from its own generator, and decide the trace ids."""
    for record in moved:
        assert re.fullmatch(r"20\d{18}", record.request_id)
        assert record.trace_id == trace_id_for(record.request_id)


def test_the_sample_of_the_predecessor_is_moved_without_touching_its_view() -> None:
    """Only the import, the set-up and annotations are different."""
    source = (REPOSITORY / "examples" / "predecessor" / "app.py").read_text("utf-8")
    plain = re.sub(r' -> str:\n    """.*?"""', ":", source)
    assert SAMPLE.strip() in plain
    assert 'tracked_vars={"GET": ["transaction"], "POST": ["transaction", "response_time"]},' in plain
