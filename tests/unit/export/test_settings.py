"""Which folder an outbox has: by the application's name, and by where it sends to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._outbox.buffer import BatchBuffer
from flask_chest_otel._outbox.config import folder_here, worker_config_of
from flask_chest_otel._outbox.file import FILENAME, Outbox
from flask_chest_otel._outbox.owner import OwnerLock
from flask_chest_otel.config import resolve
from tests.backends.otlp_receiver import OtlpReceiver
from tests.backends.require import REPOSITORY
from tests.backends.server import free_port
from tests.faults.served import SITE, numbers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVE = """
from fault_app import app
client = app.test_client()
for number in range({first}, {first} + 5):
    assert client.get(f"/buy/{{number}}").status_code == 200
"""


def test_two_applications_of_one_name(tmp_path: Path, run_python: Callable[..., str]) -> None:
    """Each sends what is its own: the one whose collector is down keeps it from the other one's collector."""
    here = {"PYTHONPATH": f"{SITE}:{REPOSITORY}", "XDG_STATE_HOME": str(tmp_path / "state")}
    port = free_port()
    down = {**here, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    with OtlpReceiver() as other:
        up = {**here, "OTEL_EXPORTER_OTLP_ENDPOINT": other.url}
        run_python(SERVE.format(first=0), down)
        run_python(SERVE.format(first=100), up)
        assert sorted(numbers(other)) == [100, 101, 102, 103, 104]
    with OtlpReceiver(port=port) as own:
        run_python(SERVE.format(first=5), down)
        assert sorted(numbers(own)) == list(range(10))


def folder(**variables: str) -> Path:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://u:p@c:4318", **variables}
    return folder_here(resolve({}, {}, environ), "shop", environ)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENDPOINT", "http://d:4318"),
        ("ENDPOINT", "http://other:p@c:4318"),
        ("TRACES_ENDPOINT", "http://d:4318/v1/traces"),
        ("LOGS_ENDPOINT", "http://d:4318/v1/logs"),
        ("LOGS_HEADERS", "X-Scope-OrgID=7"),
        ("HEADERS", "X-Scope-OrgID=7"),
        ("PROTOCOL", "grpc"),
    ],
)
def test_another_destination(variable: str, value: str) -> None:
    """Another collector, user or tenant has another folder."""
    assert folder(**{f"OTEL_EXPORTER_OTLP_{variable}": value}) != folder()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENDPOINT", "http://u:new@c:4318"),
        ("HEADERS", "Authorization=Bearer%20new"),
        ("HEADERS", "x-api-key=new"),
        ("TIMEOUT", "3"),
        ("COMPRESSION", "gzip"),
    ],
)
def test_the_same_destination(variable: str, value: str) -> None:
    """A new key, which is what sends again what was refused under the old one, changes nothing."""
    assert folder(**{f"OTEL_EXPORTER_OTLP_{variable}": value}) == folder()


def test_where_a_route_keeps_its_batches(tmp_path: Path) -> None:
    """Commands find the folder that the application uses."""
    environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    config = resolve({}, {}, environ)
    protocols = dict.fromkeys(("traces", "metrics"), "grpc")
    assert worker_config_of(environ, config, "shop", protocols).outbox.folder == folder_here(config, "shop", environ)
    given = resolve({"outbox_dir": str(tmp_path)}, {}, environ)
    assert folder_here(given, "shop", environ) == tmp_path


@pytest.mark.parametrize("where", ["of an earlier version", "of another address"])
def test_batches_that_nobody_sends(caplog: pytest.LogCaptureFixture, where: str) -> None:
    """The log says where they lie and what to type; nothing is said of those that a living process has."""
    worker_config = worker_config_of(os.environ, None, "shop")
    mine = worker_config.outbox.folder
    left = mine.parent if where == "of an earlier version" else mine.with_name("0123abcd")
    outbox = Outbox(left / FILENAME, 2**28, 3600.0)
    outbox.put("somebody", [("traces", 1, b"1"), ("traces", 1, b"2")])
    outbox.close()
    owner = OwnerLock(left, "somebody")
    for _ in range(2):
        shelf = BatchBuffer(worker_config.outbox)
        shelf.put("traces", 1, b"mine")
        assert [row.body for row in shelf.oldest("traces", 1, 2**20)] == [b"mine"]
        shelf.take_over()
        shelf.close()
        if owner.is_known:
            assert caplog.messages == []
            owner.release()
    (said,) = caplog.messages
    assert said.startswith(f"2 batches wait in {left},")
    assert f"flask chest outbox send --outbox {left}" in said


def test_a_folder_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What version 0.1.0 has left, when there were no logs, lies where this version looks."""
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://u:p@c/base", "OTEL_EXPORTER_OTLP_HEADERS": "x-scope=7"}
    assert worker_config_of(environ, service="shop").outbox.folder.name == "de51761a"


@pytest.mark.guard_on
def test_wrong_variables_of_logs(caplog: pytest.LogCaptureFixture) -> None:
    """They stop log records alone: spans and metrics go their way, and the log says what is wrong."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT": "soon"}
    assert [address.signal for address in worker_config_of(environ, service="shop").addresses] == ["traces", "metrics"]
    assert "'soon'" in caplog.text
    assert "log records go nowhere" in caplog.text
