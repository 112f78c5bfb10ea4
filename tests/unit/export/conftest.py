"""A worker with a real receiver, an outbox in a temporary folder, and batches to put into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._outbox import sender, worker
from flask_chest_otel._outbox.worker import OutboxWorker, WorkerConfig
from tests.unit.export.batches import route_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.backends.otlp_receiver import OtlpReceiver


@pytest.fixture
def worker_config(tmp_path: Path, receiver: OtlpReceiver) -> WorkerConfig:
    return route_to(receiver.url, tmp_path / "outbox")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has failed is soon tried again."""
    monkeypatch.setattr(sender, "FIRST_PAUSE_S", 0.05)


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[WorkerConfig], OutboxWorker]]:
    """Begins a dispatch as a process of its own would; all of them end with the test."""
    monkeypatch.setattr(worker, "LOOK_ROUND_S", 0.3)
    begun: list[OutboxWorker] = []

    def make(worker_config: WorkerConfig) -> OutboxWorker:
        dispatch = OutboxWorker(worker_config)
        dispatch.join(make)
        begun.append(dispatch)
        return dispatch

    yield make
    for dispatch in begun:
        dispatch.leave(make)
