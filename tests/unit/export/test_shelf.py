"""The shelf between exporters and sender, over a file that refuses."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._export import _outbox
from flask_chest_otel._export._outbox import FILENAME
from flask_chest_otel._export._shelf import Keeping, Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection to the file, which is there."""
    outbox = _outbox.Outbox(tmp_path / FILENAME, 2**28, 3600.0)
    outbox.close()
    with closing(sqlite3.connect(tmp_path / FILENAME, isolation_level=None)) as connection:
        yield connection


def bodies(connection: sqlite3.Connection) -> list[bytes]:
    return [body for (body,) in connection.execute("SELECT body FROM outbox_batches ORDER BY batch_id")]


def test_bounds_that_cannot_be_kept(
    tmp_path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where old batches cannot be deleted new ones are kept once, and the bounds hold as soon as that works again."""
    monkeypatch.setattr(_outbox, "AGED_EVERY_S", 10.0)
    shelf = Shelf(Keeping(tmp_path, 2**28, 0.0))
    other.execute("CREATE TRIGGER no BEFORE DELETE ON outbox_batches BEGIN SELECT RAISE(ABORT, 'not now'); END")
    for body in (b"1", b"2", b"3"):
        shelf.put("metrics", 1, body)
    assert bodies(other) == [b"1", b"2", b"3"]
    (said,) = caplog.messages
    assert "could not be brought within its bounds (not now)" in said
    assert shelf.dropped == 0
    other.execute("DROP TRIGGER no")
    shelf.put("metrics", 1, b"4")
    assert bodies(other) == []
    assert shelf.dropped == 4
    shelf.close()
