"""Checks the folder of the queues: free disk space, other collectors, and queues that no exporter reads."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flask_chest_otel._base.text import counted
from flask_chest_otel._collector.fragments import TARGETS, read, variables_of
from flask_chest_otel._collector.queues import Queue, is_in_use, queues_of, waiting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["folder_of", "in_use", "room_problems", "stranded"]

OVERHEAD, PER_FILE = 1.25, 32 << 20
"""Size of a queue's file: a factor of what waits in it, and bytes on top. Measured: see the tests."""

RESERVE, REFUSED = 256 << 20, 64 << 20
"""Defaults of ``CHEST_QUEUE_FREE_BYTES`` and ``CHEST_REFUSED_BYTES``."""

MIB = 1 << 20


def folder_of(environ: Mapping[str, str]) -> Path:
    """Return the folder of the queues."""
    return Path(environ.get("CHEST_QUEUE_DIR") or variables_of(read("base"))["CHEST_QUEUE_DIR"] or ".")


def room_problems(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each reason why a collector must not start with these queues."""
    yield from in_use(text, environ)
    yield from _too_small(folder_of(environ), queues_of(text, environ), environ)


def in_use(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence where another collector has a queue of this configuration open."""
    folder = folder_of(environ)
    if any(is_in_use(folder / queue.file) for queue in queues_of(text, environ)):
        yield f"another collector uses the queues in {folder}. Stop it, or type: export CHEST_QUEUE_DIR=ANOTHER_FOLDER"


def _too_small(folder: Path, queues: list[Queue], environ: Mapping[str, str]) -> Iterator[str]:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free + sum(_taken(folder / queue.file) for queue in queues)
    bounds = sum(queue.bound for queue in queues)
    others = _number(environ, "CHEST_QUEUE_FREE_BYTES", RESERVE) + _number(environ, "CHEST_REFUSED_BYTES", REFUSED)
    needed = int(bounds * OVERHEAD) + len(queues) * PER_FILE + others
    if queues and needed > free:
        variables = " ".join(f"{name}=…" for name in sorted({queue.variable for queue in queues if queue.variable}))
        yield (
            f"the {len(queues)} queues may become {bounds // MIB} MiB together, which takes {needed // MIB} MiB of "
            f"disk with what stays free, and {folder} has {free // MIB} MiB: a long outage would fill it. Make room, "
            f"or type fewer bytes for each: export {variables}"
        )


def _taken(path: Path) -> int:
    if not path.exists():
        return 0
    found = path.stat()
    return found.st_size if sys.platform == "win32" else found.st_blocks * 512


def _number(environ: Mapping[str, str], name: str, otherwise: int) -> int:
    value = environ.get(name, "")
    return int(value) if value.isdigit() else otherwise


def stranded(text: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each queue in which batches wait and which no exporter of this configuration reads."""
    folder = folder_of(environ)
    ours = {queue.file for queue in queues_of(text, environ)}
    for path in sorted(folder.glob("exporter_*")) if folder.is_dir() else ():
        if path.name not in ours and not is_in_use(path) and waiting(path):
            target = _target_of(path.name)
            how = f"flask chest collector drain --target {target}" if target else f"rm {path}, to give it up"
            batches = counted(waiting(path), "batch waits", "batches wait")
            yield f"{path}: {batches} for a target that is not chosen. Type: {how}"


def _target_of(file: str) -> str | None:
    """Return the target that a queue belongs to; ``None`` where no target has it."""
    return next((name for name in TARGETS if any(queue.file == file for queue in queues_of(read(name), {}))), None)
