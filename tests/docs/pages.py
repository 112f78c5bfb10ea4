"""Run a page of documentation: its programs, its commands, and whether they print what the page says.

What happens to a fenced block is told by its language, and by a comment above it where that is not enough:

``python``
    One program: it must run. ``<!-- test: file NAME -->``: saved under that name in the page's folder instead, for the
    commands that follow.
``console``
    Lines that begin with ``$ `` are run one after the other, the lines between are what they print. ``...`` stands for
    any lines. Numbers, ids and times are compared by kind only. ``<!-- test: server -->``: one command that is started,
    left running until the page ends, and must have printed these lines by then.
``json``, ``yaml``, ``toml``
    Must be well-formed.
``text`` and blocks without a language
    Are for eyes only.

``<!-- test: skip, because … -->`` leaves a block out; it must say why. ``<!-- test: in the repository -->`` anywhere on
a page runs its commands there and not in an empty folder. Ports 5000, 5001 and 8000 are replaced by free ones, and
``.venv/bin/`` by the environment that the tests run in.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.backends.server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["REPOSITORY", "Block", "Page", "PageError", "all_pages", "blocks_of"]

REPOSITORY = Path(__file__).resolve().parents[2]
FOR_EYES = ("", "text")
SERVER_START_S = 20.0
COMMAND_S = 120.0

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- test: ((?:(?!-->).)+?) -->\n+$", re.DOTALL)
_IN_REPOSITORY = "<!-- test: in the repository -->"


class PageError(AssertionError):
    """A block does not do what its page says."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        line: Where it begins in its page.
        language: What stands behind the fence.
        text: What it holds.
        order: What the comment above it says, or nothing.
    """

    line: int
    language: str
    text: str
    order: str

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Commands of a console block, each with the lines that it should print."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
        return found


def all_pages() -> list[Path]:
    """Every page for users."""
    return [
        REPOSITORY / "README.md",
        REPOSITORY / "CHANGELOG.md",
        *sorted((REPOSITORY / "docs").rglob("*.md")),
        *sorted((REPOSITORY / "examples").rglob("*.md")),
    ]


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    found = []
    for match in _FENCE.finditer(text):
        comment = _COMMENT.search(text, 0, match.start())
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(line, match[1], match[2], comment[1] if comment else ""))
    return found


class Page:
    """One page, run from top to bottom in a folder of its own."""

    def __init__(self, path: Path, folder: Path) -> None:
        text = path.read_text(encoding="utf-8")
        self.path = path
        self.blocks = blocks_of(text)
        self.folder = REPOSITORY if _IN_REPOSITORY in text else folder
        self._ports = {shown: free_port() for shown in ("5000", "5001", "8000")}
        self._servers: list[tuple[Block, subprocess.Popen[str], Path]] = []

    def run(self) -> None:
        """Run every block; stop the servers at the end.

        Raises:
            PageError: With the page and line of the block that is wrong.
        """
        try:
            for block in self.blocks:
                self._run(block)
        finally:
            said = [(block, self._stop(server, log)) for block, server, log in self._servers]
        for block, output in said:
            self._compare(block, block.commands[0][0], block.commands[0][1], output)

    def _run(self, block: Block) -> None:
        order, _, argument = block.order.partition(" ")
        if order == "skip,":
            if not argument.startswith("because "):
                raise self._error(block, "says skip without because")
        elif order == "file":
            (self.folder / argument).write_text(block.text, encoding="utf-8")
        elif order == "server":
            self._serve(block)
        elif order:
            raise self._error(block, f"has an order that nobody knows: {block.order}")
        elif block.language not in FOR_EYES:
            getattr(self, f"_run_{block.language}", self._run_unknown)(block)

    def _run_unknown(self, block: Block) -> None:
        raise self._error(block, f"has the language {block.language!r}, which nobody can test")

    def _run_python(self, block: Block) -> None:
        # In a file: flask.Flask(__name__) looks for it.
        program = self.folder / f"program_{block.line}.py"
        program.write_text(block.text, encoding="utf-8")
        code, output = self._shell(f"python -W error {program.name}")
        if code:
            raise self._error(block, f"fails:\n{output}")

    def _run_console(self, block: Block) -> None:
        if not block.commands:
            raise self._error(block, "has no command")
        for command, expected in block.commands:
            code, output = self._shell(command)
            if code:
                raise self._error(block, f"fails with status {code}: {command}\n{output}")
            self._compare(block, command, expected, output)

    def _run_json(self, block: Block) -> None:
        try:
            json.loads(block.text)
        except ValueError as error:
            raise self._error(block, str(error)) from error

    def _run_yaml(self, block: Block) -> None:
        try:
            yaml.safe_load(block.text)
        except yaml.YAMLError as error:
            raise self._error(block, str(error)) from error

    def _shell(self, command: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", self._here(command)],
            cwd=self.folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        return done.returncode, done.stdout

    def _serve(self, block: Block) -> None:
        command = self._here(block.commands[0][0])
        log = self.folder / f"server_{block.line}.log"
        with log.open("w") as output:
            server = subprocess.Popen(
                # What a shell starts in the background is deaf to Ctrl-C, and so would be its children.
                ["bash", "-c", f"exec env --default-signal=INT {command}"],
                cwd=self.folder,
                env=_environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        self._servers.append((block, server, log))
        port = int(re.findall(r"(?:--port |--bind [\d.]+:)(\d+)", command)[-1])
        if not _answers(port, server):
            raise self._error(block, f"does not answer:\n{log.read_text()}")

    def _stop(self, server: subprocess.Popen[str], log: Path) -> str:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(COMMAND_S)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        output = log.read_text()
        log.unlink()
        return output

    def _compare(self, block: Block, command: str, expected: list[str], output: str) -> None:
        if expected and not _matches([_kind(line) for line in expected], [_kind(line) for line in output.splitlines()]):
            wanted = "\n".join(expected)
            raise self._error(block, f"prints something else: {command}\n--- the page\n{wanted}\n--- now\n{output}")

    def _here(self, command: str) -> str:
        command = command.replace(".venv/bin/", "")
        for shown, free in self._ports.items():
            command = re.sub(rf"(?<=[:= ]){shown}\b", str(free), command)
        return command

    def _error(self, block: Block, what: str) -> PageError:
        return PageError(f"{self.path.relative_to(REPOSITORY)}:{block.line}: the block {what}")


def _environment() -> dict[str, str]:
    """What a user has who has just activated the environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "FLASK_", "PYTEST_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


def _kind(line: str) -> str:
    """A line without what differs from run to run: ids, numbers, widths of columns."""
    line = re.sub(r"\b(?=[0-9a-f]*\d)(?:[0-9a-f]{16,32}|[0-9a-f]{8})\b", "ID", line)
    line = re.sub(r"(\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(\.\d+)?( [+-]\d{4})?", "TIME", line)
    # What a table has cut, it cuts at another place where another column is wider.
    line = re.sub(r"\S*…", "…", line)
    line = re.sub("█+", "BAR", line)
    # Numbers that are measured: with a fraction, or in seconds.
    line = re.sub(r"\b\d+\.\d+(e-?\d+)?(?=s?\b)", "NUMBER", line)
    return re.sub(r"\s+", " ", line).strip()


def _matches(expected: list[str], found: list[str]) -> bool:
    """Whether ``found`` is ``expected``, where ``...`` stands for any lines."""
    if not expected:
        return not found
    if expected[0] == "...":
        return any(_matches(expected[1:], found[skipped:]) for skipped in range(len(found) + 1))
    return bool(found) and expected[0] == found[0] and _matches(expected[1:], found[1:])


def _answers(port: int, server: subprocess.Popen[str]) -> bool:
    until = time.monotonic() + SERVER_START_S
    while time.monotonic() < until and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def needs(page: Page) -> Iterator[str]:
    """Commands from outside that a page's blocks call and that are not installed."""
    text = " ".join(block.text for block in page.blocks if block.language == "console")
    for command in ("curl",):
        if command in text and shutil.which(command) is None:
            yield command
