"""The outbox's folder where all users have theirs."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._base import sqlite
from flask_chest_otel._outbox import folder as outbox_folder_module
from flask_chest_otel._outbox.buffer import BatchBuffer, OutboxConfig
from flask_chest_otel._outbox.config import outbox_folder
from flask_chest_otel._outbox.file import FILENAME
from flask_chest_otel.config import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="each user has a folder for temporary files there")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the outbox of a user without a home lies."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null/nowhere")
    return outbox_folder(resolve({}, {}, {}), "shop", ())


def open_to_others(top: Path) -> None:
    (top / "flask_chest_otel" / "shop").mkdir(parents=True)
    top.chmod(0o777)


def readable_by_others(top: Path) -> None:
    top.mkdir()
    top.chmod(0o750)


def link(top: Path) -> None:
    elsewhere = top.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    top.symlink_to(elsewhere)


def somebody_elses(top: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    top.mkdir(mode=0o700)
    os.chown(top, 65534, -1)


def test_each_service_has_its_own(folder: Path) -> None:
    """Also where names differ only in what no folder's name takes, or only at the end of a long one."""
    names = ["shop", "a/b", "a_b", "a:b", "商店", "支付", ".", "..", "", "unknown", "x" * 400, "x" * 401]
    found = [outbox_folder(resolve({}, {}, {}), name, ()) for name in names]
    assert found[0] == folder
    homes = [one.parent for one in found]
    assert len(set(homes)) == len(names)
    assert {one.parent for one in homes} == {folder.parent.parent}
    assert all(one.name.isascii() and len(one.name) < 255 for one in homes)


def test_a_folder_of_ones_own(folder: Path) -> None:
    """It is made for its user only, and found again by the next process."""
    for body in (b"1", b"2"):
        shelf = BatchBuffer(OutboxConfig(folder, 2**28, 3600.0))
        shelf.put("traces", 1, body)
        shelf.close()
    assert (folder / FILENAME).exists()
    assert stat.S_IMODE(outbox_folder_module.temporary().stat().st_mode) == 0o700


@pytest.mark.parametrize("prepare", [open_to_others, readable_by_others, link, somebody_elses])
def test_a_folder_that_somebody_prepared(
    folder: Path, prepare: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is put where another user may read it: batches wait in memory, and the line says what to type."""
    prepare(outbox_folder_module.temporary())
    shelf = BatchBuffer(OutboxConfig(folder, 2**28, 3600.0))
    shelf.put("traces", 1, b"1")
    assert [row.body for row in shelf.oldest("traces", 5, 2**20)] == [b"1"]
    assert not [path for path in Path(tempfile.gettempdir()).rglob("*") if path.is_file()]
    (said,) = caplog.messages
    assert f"{outbox_folder_module.temporary()} is not a folder of this user alone" in said
    assert "FLASK_CHEST_OUTBOX_DIR" in said


@pytest.fixture
def umask() -> Iterator[None]:
    """Whoever started the process lets everybody write everywhere."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_folders_above_it(tmp_path: Path) -> None:
    """All that are made are their user's alone, whatever the umask says; those of the store, too."""
    shelf = BatchBuffer(OutboxConfig(tmp_path / "a" / "b" / "c", 2**28, 3600.0))
    shelf.put("traces", 1, b"1")
    shelf.close()
    sqlite.make(tmp_path / "d" / "e" / "store.sqlite3")
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(made) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder where all users may write, as in ``/tmp``."""
    found = tmp_path / "shared"
    found.mkdir()
    found.chmod(0o1777)
    return found


def prepared(given: Path) -> None:
    given.mkdir()
    given.chmod(0o777)


def linked(given: Path) -> None:
    elsewhere = given.parent.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    given.symlink_to(elsewhere)


def linked_to_nothing(given: Path) -> None:
    given.symlink_to(given.parent.with_name("nothing"))


def of_another_user(given: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    given.mkdir(mode=0o700)
    os.chown(given, 65534, -1)


@pytest.mark.parametrize("prepare", [prepared, linked, linked_to_nothing, of_another_user])
@pytest.mark.parametrize("below", ["", "outbox"])
@pytest.mark.parametrize("through", ["", "a link of ours"])
def test_a_given_folder_that_somebody_prepared(
    tmp_path: Path, shared: Path, prepare: Callable[[Path], None], below: str, through: str
) -> None:
    """The same holds for a folder of the user's choice below one where all users may write."""
    prepare(shared / "shop")
    start = shared
    if through:
        start = tmp_path / through
        start.symlink_to(shared)
    shelf = BatchBuffer(OutboxConfig(start / "shop" / below, 2**28, 3600.0))
    shelf.put("traces", 1, b"1")
    assert [row.body for row in shelf.oldest("traces", 5, 2**20)] == [b"1"]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    shelf.close()


def test_the_shared_folder_itself(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is no outbox's folder: files in it can be prepared, too."""
    shelf = BatchBuffer(OutboxConfig(shared, 2**28, 3600.0))
    shelf.put("traces", 1, b"1")
    assert list(shared.iterdir()) == []
    assert "all users share" in caplog.text
    shelf.close()


def test_a_given_folder_of_ones_own(shared: Path) -> None:
    """One that this user has made there is used, also where others can see it."""
    (shared / "shop").mkdir()
    (shared / "shop").chmod(0o755)
    shelf = BatchBuffer(OutboxConfig(shared / "shop" / "outbox", 2**28, 3600.0))
    shelf.put("traces", 1, b"1")
    shelf.close()
    assert (shared / "shop" / "outbox" / FILENAME).exists()
