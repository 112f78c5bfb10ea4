"""Counts of objectives in worker processes, through an outage and a restart: exact, and both series from zero."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.faults.served import BIN, Gunicorn, Traffic, Uwsgi, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.otlp_receiver import OtlpReceiver

REQUESTS = "flask_chest.slo.requests"
# Two of them, of which one calls every third request bad that /buy/<number> answers.
SLOS = json.dumps(
    [
        {"name": "bought", "objective": 99, "routes": ["/buy/*"], "bad_when": {"number": list(range(0, 1000, 3))}},
        {"name": "all", "objective": 99.9, "routes": ["/buy/*"]},
    ]
)
SETTINGS = {"FLASK_CHEST_SLOS": SLOS}


def counted(receiver: OtlpReceiver, name: str) -> dict[str, float]:
    """The sum of the last points of every process, by result."""
    found: dict[str, float] = {}
    for point in receiver.latest(REQUESTS):
        if point["attributes"]["flask_chest.slo.name"] == name:
            result = point["attributes"]["flask_chest.slo.result"]
            found[result] = found.get(result, 0) + (point["value"] or 0)
    return found


def first_points(receiver: OtlpReceiver) -> dict[str, set[float]]:
    """The first value of every series of each process."""
    first: dict[tuple[object, ...], float] = {}
    for point in receiver.metrics(REQUESTS):
        series = (point["resource"]["service.instance.id"], *sorted(point["attributes"].items()))
        first.setdefault(series, point["value"] or 0)
    values: dict[str, set[float]] = {}
    for (instance, *_), value in first.items():
        values.setdefault(str(instance), set()).add(value)
    return values


@pytest.mark.parametrize(
    "arguments",
    [
        ("--workers", "2", "--threads", "4"),
        ("--workers", "3", "--preload"),
        ("--workers", "2", "--max-requests", "40", "--preload"),
        ("--workers", "2", "--worker-class", "gevent"),
        ("--workers", "3", "--worker-class", "gevent", "--preload"),
    ],
    ids=["gthread", "preload", "recycled", "gevent", "gevent-preload"],
)
def test_gunicorn(tmp_path: Path, receiver: OtlpReceiver, arguments: tuple[str, ...]) -> None:
    """What all workers have counted is what was served, and each one's series begin at zero."""
    traffic = Traffic()
    with Gunicorn(tmp_path, receiver.url, *arguments, **SETTINGS) as server:
        traffic.send(server.port, range(201))
    assert traffic.failed == 0
    assert counted(receiver, "bought") == {"good": 134, "bad": 67}
    assert counted(receiver, "all") == {"good": 201, "bad": 0}
    assert len(first_points(receiver)) == len(traffic.pids)
    assert set().union(*first_points(receiver).values()) == {0.0}
    assert server.log() == ""


@pytest.mark.parametrize("warm_up", ["1", "late"])
def test_requests_before_the_fork(tmp_path: Path, receiver: OtlpReceiver, warm_up: str) -> None:
    """What the master has counted is counted once; its children begin at zero again."""
    traffic = Traffic()
    arguments = ("--workers", "3", "--preload")
    with Gunicorn(tmp_path, receiver.url, *arguments, **SETTINGS, FAULT_WARM_UP=warm_up) as server:
        traffic.send(server.port, range(99))
    assert counted(receiver, "all") == {"good": 99 + (5 if warm_up == "1" else 0), "bad": 0}
    assert set().union(*first_points(receiver).values()) == {0.0}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no uWSGI for Windows")
@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)], ids=["master", "lazy-apps"])
def test_uwsgi(tmp_path: Path, receiver: OtlpReceiver, lazy: tuple[str, ...]) -> None:
    """UWSGI forks where Python does not see it: the same."""
    if not (BIN / "uwsgi").exists():
        pytest.skip("uWSGI is not installed")
    traffic = Traffic()
    with Uwsgi(tmp_path, receiver.url, "--workers", "2", "--enable-threads", *lazy, **SETTINGS) as server:
        traffic.send(server.port, range(201))
    assert traffic.failed == 0
    assert counted(receiver, "bought") == {"good": 134, "bad": 67}
    assert set().union(*first_points(receiver).values()) == {0.0}


def test_an_outage_and_a_restart(tmp_path: Path, receiver: OtlpReceiver) -> None:
    """While the collector is away, across a restart of the application: nothing is lost, nothing comes twice."""
    traffic = Traffic()
    arguments = ("--workers", "2", "--threads", "2")
    receiver.status = 503
    with Gunicorn(tmp_path, receiver.url, *arguments, **SETTINGS) as server:
        traffic.send(server.port, range(90))
    assert counted(receiver, "bought") == {}
    with Gunicorn(tmp_path, receiver.url, *arguments, **SETTINGS) as server:
        traffic.send(server.port, range(90, 150))
        receiver.status = 200
        wait_until(lambda: sum(counted(receiver, "all").values()) >= 150)
        traffic.send(server.port, range(150, 180))
    assert traffic.failed == 0
    assert counted(receiver, "bought") == {"good": 120, "bad": 60}
    assert counted(receiver, "all") == {"good": 180, "bad": 0}
