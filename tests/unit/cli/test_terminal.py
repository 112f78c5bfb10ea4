"""Output in a real terminal of 80 columns: colours, widths, and requests as they come."""

from __future__ import annotations

import errno
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING
from unicodedata import category, east_asian_width

import pytest

from flask_chest_otel._outbox.file import FILENAME, Outbox
from flask_chest_otel._records.record import ChildSpan, LogLine, RequestError
from flask_chest_otel._store.store import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_chest_otel._records.record import RequestRecord

pytestmark = pytest.mark.process

PROGRAM = "from flask_chest_otel._cli import chest_cli; chest_cli()"
COLOUR = re.compile(r"\x1b\[[\d;]*m")

WIDE = "注文は失敗しました 🎉 e\u0301te\u0301 " * 6


@pytest.fixture
def store(fill: Callable[..., Path], record: Callable[..., RequestRecord]) -> Path:
    """Requests whose texts are long and wide, and try to drive the terminal."""
    nasty = f"\x1b[31m{WIDE}\x07"
    now = time.time_ns()
    error = RequestError(f"shop.{nasty}", nasty, "shop:pay:3", f"Traceback\n  {nasty}", handled=False)
    span = ChildSpan(nasty, "client", "a" * 16, None, now, 0.01, "error", {"db.query.text": nasty})
    return fill(
        *[
            record(
                number,
                number,
                request_id=f"r{number}-{WIDE}"[:200],
                route=f"/{nasty}",
                path=f"/{nasty}",
                version=("1", "2")[number % 2],
                status=500 - 100 * (number % 2),
                variables={"plan": nasty, nasty: nasty, "total": 10.0**number},
                error=error,
                spans=(span,),
                logs=(LogLine(now, "ERROR", nasty, nasty),),
            )
            for number in range(40)
        ],
        record(99, 0, request_id="plain", status=404),
    )


@pytest.fixture
def terminal() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a command in a terminal of its own; what it prints is read by ``screen``."""
    started: list[tuple[subprocess.Popen[bytes], int]] = []

    def start(*arguments: str, program: str = PROGRAM, **environment: str) -> subprocess.Popen[bytes]:
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        clean = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "COLUMNS"}}
        process = subprocess.Popen(
            # What a shell has started in the background is deaf to Ctrl-C, and so would be its children.
            ["env", "--default-signal=INT", sys.executable, "-c", program, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**clean, "TERM": "xterm", "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **environment},
        )
        os.close(theirs)
        started.append((process, ours))
        return process

    start.started = started  # type: ignore[attr-defined]
    yield start
    for process, ours in started:
        process.kill()
        process.wait()
        os.close(ours)


def screen(terminal: Callable[..., subprocess.Popen[bytes]], until: str | None = None, seconds: float = 30) -> str:
    """What the last command has printed, to its end or ``until`` a text is there."""
    process, ours = terminal.started[-1]  # type: ignore[attr-defined]
    data, give_up_at = b"", time.monotonic() + seconds
    while time.monotonic() < give_up_at:
        ended = process.poll() is not None
        if select.select([ours], [], [], 0.1)[0]:
            try:
                data += os.read(ours, 65536)
            except OSError as error:
                if error.errno == errno.EIO:  # nobody has the other end any more, and all is read
                    break
        elif ended:
            break
        if until is not None and until in data.decode(errors="replace"):
            break
    return data.decode().replace("\r\n", "\n")


def width(text: str) -> int:
    """Columns of a terminal, counted by the Unicode database."""
    return sum(0 if category(sign)[0] == "M" else 1 + (east_asian_width(sign) in "WF") for sign in text)


COMMANDS = [
    ["requests", "--limit", "50"],
    ["requests", "--columns", "time,service,status,ms,cpu,id,path,error,message,plan"],
    ["show", "r1-"],
    ["show", "plain", "--by", "user_id"],
    ["errors"],
    ["stats", "--var", "total"],
    ["stats", "--by", "plan"],
    ["stats", "--per", "minute"],
    ["explain", "--status", "5xx"],
    ["compare", "1", "2"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_lines_fit_and_are_inert(
    command: list[str], store: Path, terminal: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """No line is wider than 80 columns, wide characters counted as two, and only colours of ours drive the terminal."""
    terminal(*command, "--store", str(store))
    lines = COLOUR.sub("", screen(terminal)).splitlines()
    assert lines
    assert not [line for line in lines if width(line) > 80]
    assert all(sign.isprintable() for line in lines for sign in line)


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    """A folder with a batch that was refused with many words, and one that waits."""
    with closing(Outbox(tmp_path / "box" / FILENAME, 2**28, 3600.0)) as opened:
        opened.put("somebody", [("traces", 3, b"bad"), ("metrics", 5, b"good")])
        opened.settle([], {opened.kept()[0].batch_id: f"400 \x1b[31mno {WIDE} {'x' * 200}"})
    return tmp_path / "box"


OTHERS = [
    (["collector", "targets"], "must be set  INFLUXDB_TOKEN"),
    (["collector", "render", "--target", "influ"], "Error: Invalid value for '--target'"),
    (["collector", "check", "--target", "influxdb"], "INFLUXDB_TOKEN is not set. Type: export INFLUXDB_TOKEN=…"),
    (["outbox", "list", "--outbox", "{outbox}"], "state       refused: 400"),
    (["outbox", "list", "--outbox", "{outbox}/is/not/there"], "Error: there is no outbox in"),
    (["show", "nobody", "--store", "{store}"], "Error: no request in the store has the id nobody"),
]


@pytest.mark.parametrize(("command", "says"), OTHERS, ids=[" ".join(command) for command, _ in OTHERS])
def test_what_needs_more_is_broken(
    command: list[str], says: str, store: Path, outbox: Path, terminal: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """What does not fit into 80 columns is broken there."""
    terminal(*(one.format(store=store, outbox=outbox) for one in command), CHEST_QUEUE_DIR=str(outbox))
    lines = COLOUR.sub("", screen(terminal)).splitlines()
    assert says in "\n".join(lines)
    assert not [line for line in lines if width(line) > 80]
    assert all(sign.isprintable() for line in lines for sign in line)


def test_doctor_fits(tmp_path: Path, terminal: Callable[..., subprocess.Popen[bytes]]) -> None:
    """The doctor's rows become blocks where 80 columns do not hold them, and the others stay a table."""
    app = tmp_path / "shop.py"
    app.write_text(
        "from flask import Flask\nfrom flask_chest_otel import FlaskChest, TrackedVar\n"
        "FlaskChest(app := Flask('shop'), tracked_vars=[TrackedVar('cart_value', unit='EUR', buckets=(5, 10)), 'user'])"
    )
    terminal("--app", str(app), "chest", "doctor", "--no-send", program="from flask.cli import main; main()")
    lines = COLOUR.sub("", screen(terminal, seconds=120)).splitlines()
    assert "WHAT tracer provider" in lines
    assert ["SETTING", "VALUE", "FROM"] in [line.split() for line in lines]
    assert lines.index("SETTING tracked_vars") > lines.index(f"{'enabled':<22}{'True':<39}default")
    assert not [line for line in lines if width(line) > 80]


def test_colours(store: Path, terminal: Callable[..., subprocess.Popen[bytes]]) -> None:
    """Errors of the application are red and those of clients magenta; NO_COLOR and TERM=dumb are obeyed."""
    terminal("requests", "--limit", "3", "--columns", "id,status", "--store", str(store))
    text = screen(terminal)
    assert "\x1b[35m404\x1b[0m" in text
    assert "\x1b[31m\x1b[1m500\x1b[0m" in text
    for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        terminal("requests", "--store", str(store), **environment)
        assert "\x1b" not in screen(terminal)


def test_follow(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], terminal: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """New requests appear below the last ones, also one that began two hours ago; Ctrl-C ends it with status 0."""
    path = fill(record(1, 2), record(2, 1))
    process = terminal("requests", "--follow", "--limit", "1", "--store", str(path))
    first = screen(terminal, until="r-2")
    assert "r-1" not in first
    with closing(EmbeddedStore(path)) as store:
        store.put(record(3, 0))
        store.put(record(4, 120))
        assert store.flush(5)
    more = screen(terminal, until="r-4")
    assert "r-2" not in more
    assert "STATUS" not in more
    assert more.splitlines()[-2].index("r-3") == COLOUR.sub("", first).splitlines()[-1].index("r-2")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_follow_a_store_that_goes_and_comes(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], terminal: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """A store that is deleted, or is another program's file for a while, is waited for, and the new one is followed."""
    path = fill(record(1, 2), record(2, 1))
    process = terminal("requests", "--follow", "--store", str(path))
    screen(terminal, until="r-2")
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    gone = screen(terminal, until="its first request")
    assert gone.count("there is no store") == 1
    path.write_bytes(b"something else, for a moment " * 100)
    assert "file is not a database" in screen(terminal, until="not a database")
    path.unlink()
    fill(record(3, 0))
    assert "r-1" not in screen(terminal, until="r-3")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_follow_through_a_burst(
    fill: Callable[..., Path], record: Callable[..., RequestRecord], terminal: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """1 800 requests that come between two looks are all shown."""
    path = fill(record(0, 2))
    process = terminal("requests", "--follow", "--columns", "id", "--store", str(path))
    screen(terminal, until="r-0")
    process.send_signal(signal.SIGSTOP)
    fill(*(record(number, 1) for number in range(1, 1801)))
    process.send_signal(signal.SIGCONT)
    shown = re.findall(r"r-\d+", COLOUR.sub("", screen(terminal, until="r-1800")))
    assert (shown[0], len(set(shown))) == ("r-1", 1800)
