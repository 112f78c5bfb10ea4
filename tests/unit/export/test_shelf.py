"""The shelf between exporters and sender, over a file that refuses."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel import _sqlite
from flask_chest_otel._export import _outbox, _shelf
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


def states(connection: sqlite3.Connection) -> list[tuple[bytes, str | None]]:
    return list(connection.execute("SELECT body, refused FROM outbox_batches ORDER BY batch_id"))


@pytest.mark.parametrize("then", ["look round", "refuse another", "close"])
def test_refused_while_the_file_is_locked(
    tmp_path: Path, other: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """A batch that cannot be put aside at that moment is not sent again, and put aside as soon as that works."""
    monkeypatch.setattr(_sqlite, "BUSY_S", 0.1)
    monkeypatch.setattr(_shelf, "DISK_AGAIN_S", 0.0)
    shelf = Shelf(Keeping(tmp_path, 2**28, 3600.0))
    shelf.put("traces", 3, b"1")
    shelf.put("traces", 3, b"2")
    first, second = shelf.oldest("traces", 2)
    other.execute("BEGIN IMMEDIATE")
    shelf.refuse(first, "traces", "401 token expired")
    other.execute("ROLLBACK")
    assert states(other) == [(b"1", None), (b"2", None)]
    assert shelf.oldest("traces", 2) == [second]
    shelf.keep()
    if then == "refuse another":
        shelf.refuse(second, "traces", "400")
    elif then == "look round":
        shelf.take_over()
    shelf.close()
    assert states(other) == [(b"1", "401 token expired"), (b"2", "400" if then == "refuse another" else None)]
    assert shelf.dropped == 0


def test_refused_without_a_disk(tmp_path: Path) -> None:
    """A batch that waited in memory, and that no disk keeps, is counted as dropped."""
    folder = tmp_path / "outbox"
    folder.write_text("a file where the folder should be")
    shelf = Shelf(Keeping(folder, 2**28, 3600.0))
    shelf.put("traces", 3, b"1")
    (row,) = shelf.oldest("traces", 2)
    shelf.refuse(row, "traces", "401 token expired")
    assert shelf.oldest("traces", 2) == []
    assert shelf.dropped == 3
    shelf.close()
