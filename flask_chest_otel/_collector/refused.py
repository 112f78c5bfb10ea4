"""The files in which the collector keeps what targets refused because of its content: a request a line."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypedDict

from flask_chest_otel._collector.room import folder_of

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["InUseError", "Refused", "folder", "request_in", "take"]

OLDER, NEWEST = "refused.1.jsonl", "refused.jsonl"
"""The files that the collector writes."""

ENDING = ".sending"
"""The end of the name of a file that is being sent."""

_BEGIN = b'{"time":"'
"""The begin of each line. It is in no other place of a line: in a JSON text, quotation marks are escaped."""

WRITTEN_S = 0.1
"""How long to wait for the end of a line that the collector may be writing, seconds."""


class InUseError(Exception):
    """Another process sends what is in this folder."""


class Refused(TypedDict, total=False):
    """A request that a target refused, as the collector's guard writes it.

    Attributes:
        exporter: The exporter's name in the configuration, such as ``influxdb/metrics``.
        url: The address that it was sent to.
        content_type: The header ``Content-Type``, where it had one.
        content_encoding: The header ``Content-Encoding``, where it had one.
        body: Its body, base64.
    """

    exporter: str
    url: str
    content_type: str
    content_encoding: str
    body: str


def folder(environ: Mapping[str, str]) -> Path:
    """Return the folder in which the collector keeps refused requests."""
    return Path(environ.get("CHEST_REFUSED_DIR") or folder_of(environ) / "refused")


def take(where: Path, work: Callable[[bytes], bool]) -> tuple[int, int]:
    """Call ``work`` with each line, the oldest first, and delete the lines for which it returns ``True``.

    The other lines stay, and also those for which it was not called, because it raised or the process was killed.

    Args:
        where: The folder with the files.
        work: Takes a line without its end.

    Returns:
        How many lines were deleted, and how many stay.

    Raises:
        InUseError: Another process does this now.
    """
    deleted, stay = 0, 0
    if where.exists():
        with _alone(where):
            for path in _renamed(where):
                for done in _each(path, work):
                    deleted, stay = deleted + done, stay + (not done)
    return deleted, stay


def request_in(line: bytes) -> Refused:
    """Return the request in a line.

    Raises:
        ValueError: The line was cut off, or the collector did not write it.
    """
    found = json.loads(line)
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in ("exporter", "url", "body")):
        raise ValueError("exporter, url or body is missing")
    request: Refused = found  # type: ignore[assignment]  # it has what is needed
    return request


@contextmanager
def _alone(where: Path) -> Iterator[None]:
    """Keep other processes from sending what is in this folder.

    Raises:
        InUseError: Another process does it now.
    """
    if sys.platform == "win32":  # a folder cannot be locked there
        yield
        return
    handle = os.open(where, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise InUseError(str(where)) from error
    finally:
        os.close(handle)


def _renamed(where: Path) -> list[Path]:
    """Rename the collector's files, so that it begins new ones; return all renamed files, the oldest first.

    Those of a run that was killed are among them.
    """
    for name in (OLDER, NEWEST):
        with suppress(FileNotFoundError):  # none is there, or the collector has just renamed it, too
            (where / name).rename(where / f"{time.time_ns()}{ENDING}")
    return sorted(where.glob(f"*{ENDING}"))


def _each(path: Path, work: Callable[[bytes], bool]) -> Iterator[bool]:
    """Call ``work`` with each line of a file, and yield what it returns; delete the file."""
    with path.open("rb") as file:
        done_to = 0
        try:
            while raw := _line(file):
                for line in _parts(raw):
                    yield (done := work(line))
                    if not done:
                        _keep(path.parent, line + b"\n")
                done_to = file.tell()
        finally:
            file.seek(done_to)
            while piece := file.read(1 << 20):
                _keep(path.parent, piece)
            path.unlink()


def _line(file: BinaryIO) -> bytes:
    raw = file.readline()
    if raw and not raw.endswith(b"\n"):
        time.sleep(WRITTEN_S)
        raw += file.readline()
    return raw


def _parts(raw: bytes) -> Iterator[bytes]:
    """Split a line before each request that begins in it: after a full disk, one follows half a line."""
    while (begin := raw.find(_BEGIN, 1)) > 0:
        yield raw[:begin]
        raw = raw[begin:]
    if raw.strip():
        yield raw.rstrip(b"\n")


def _keep(where: Path, content: bytes) -> None:
    handle = os.open(where / NEWEST, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "ab") as file:
        file.write(content)
