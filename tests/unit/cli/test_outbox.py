"""``flask chest outbox``: list, resend, clear."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from flask_chest_otel._cli import chest_cli
from flask_chest_otel._export._outbox import FILENAME, Outbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """One batch waits, one was refused by a collector that forges lines."""
    opened = Outbox(tmp_path / "box" / FILENAME, 2**28, 3600.0)
    opened.put("somebody", [("traces", 3, b"bad"), ("metrics", 5, b"good")])
    opened.refuse(1, "400 no\x1b[31m")
    yield opened
    opened.close()


def run(outbox: Outbox, *arguments: str) -> str:
    done = CliRunner().invoke(chest_cli, ["outbox", *arguments, "--outbox", str(outbox.path.parent)])
    assert done.exit_code == 0, done.output
    return done.output


def test_list(outbox: Outbox) -> None:
    """Every batch with its size and its state; nothing that a collector said reaches the terminal raw."""
    output = run(outbox, "list")
    assert [line.split()[3:5] for line in output.splitlines()[-2:]] == [["traces", "3"], ["metrics", "5"]]
    assert "refused: 400 no" in output
    assert "waiting" in output
    assert "\x1b" not in output


def test_list_for_programs(outbox: Outbox) -> None:
    """JSON has every figure."""
    first, second = json.loads(run(outbox, "list", "--json"))
    assert (first["signal"], first["items"], first["size_bytes"]) == ("traces", 3, 3)
    assert (second["signal"], second["refused"]) == ("metrics", None)


def test_resend(outbox: Outbox) -> None:
    """What was refused waits again, for whoever comes first."""
    assert "1 refused" in run(outbox, "resend")
    assert [kept.refused for kept in outbox.kept()] == [None, None]


def test_clear(outbox: Outbox) -> None:
    """Refused batches go, waiting ones only when it is asked for."""
    assert "1 batch deleted" in run(outbox, "clear")
    assert [kept.signal for kept in outbox.kept()] == ["metrics"]
    assert "1 batch deleted" in run(outbox, "clear", "--everything")
    assert outbox.kept() == []
    assert run(outbox, "list") == "Nothing waits, and nothing was refused.\n"


def test_no_outbox(tmp_path: Path) -> None:
    """Where there is none, that is said, with what to type; and none is made."""
    done = CliRunner().invoke(chest_cli, ["outbox", "list", "--outbox", str(tmp_path)])
    assert (done.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "there is no outbox" in done.output
    assert "--app" in done.output


def test_no_outbox_of_ours(tmp_path: Path) -> None:
    """A file that is something else is said to be so, and left alone."""
    (tmp_path / FILENAME).write_bytes(b"something else" * 1000)
    done = CliRunner().invoke(chest_cli, ["outbox", "clear", "--outbox", str(tmp_path)])
    assert done.exit_code == 1
    assert "cannot be read" in done.output
