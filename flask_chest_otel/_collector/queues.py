"""Reads the collector's queues on disk: which ones a configuration has, their maximum sizes, and what waits in them.

A queue is a file of bbolt's format (https://github.com/etcd-io/bbolt), named after its exporter and signal.
"""

from __future__ import annotations

import mmap
import re
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask_chest_otel._collector.outline import parse

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from flask_chest_otel._collector.outline import Node

__all__ = ["Queue", "is_in_use", "queues_of", "waiting"]

_LIKE = re.compile(r"<<: \*(\w+)")
_SIZE = re.compile(r"queue_size: *(?:\$\{env:(\w+):-(\d+)\}|(\d+))")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue of a configuration.

    Attributes:
        file: Name of its file.
        bound: How much may wait in it, bytes.
        variable: The environment variable that sets the bound; ``None`` where it is fixed.
    """

    file: str
    bound: int
    variable: str | None


def queues_of(text: str, values: Mapping[str, str]) -> list[Queue]:
    """Return the queues of a rendered configuration: one for each exporter and signal.

    Args:
        text: The configuration.
        values: The environment that the collector will have.
    """
    outline = parse(text)
    exporters = outline["exporters"].children if "exporters" in outline else {}
    anchors = {node.value.lstrip("&"): node for node in exporters.values() if node.value.startswith("&")}
    found = {}
    for exporter, signal in _used(outline):
        size = _SIZE.search(_settings(exporters.get(exporter), anchors))
        if size is not None:
            bound = values.get(size[1] or "") or size[2] or size[3]
            kind, _, name = exporter.partition("/")
            file = _UNSAFE.sub(lambda sign: f"~{ord(sign[0]):04X}", f"exporter_{kind}_{name}_{signal}")
            found[file] = Queue(file, int(bound) if bound.isdigit() else 0, size[1])
    return list(found.values())


def _used(outline: Mapping[str, Node]) -> Iterator[tuple[str, str]]:
    """Yield each exporter with each signal that a pipeline gives it."""
    service = outline.get("service")
    pipelines = service.at("pipelines") if service is not None else None
    for key, pipeline in (pipelines.children if pipelines is not None else {}).items():
        exporters = pipeline.at("exporters")
        for exporter in exporters.inline_list if exporters is not None else ():
            yield exporter, key.partition("/")[0]


def _settings(node: Node | None, anchors: Mapping[str, Node]) -> str:
    """Return the settings of an exporter as text, followed by those that it merges from another one (``<<:``)."""
    if node is None:
        return ""
    own = _text(node)
    like = _LIKE.search(own)
    return own + (_text(anchors[like[1]]) if like and like[1] in anchors else "")


def _text(node: Node) -> str:
    lines = [f"{node.key}: {node.value}", *(line.strip() for line in node.lines)]
    return "\n".join([*lines, *map(_text, node.children.values())])


def is_in_use(path: Path) -> bool:
    """Whether a collector has this queue open.

    On Windows the answer is always no, and a second collector fails when it opens the queue.
    """
    if sys.platform == "win32":
        return False
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def waiting(path: Path) -> int:
    """Count the batches that wait in a queue; 0 where the file is no queue.

    The count is only right while no collector writes the file: see ``is_in_use``.
    """
    try:
        # A full queue may not fit into memory.
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return sum(key.isdigit() for key in _keys(data))
    except (OSError, ValueError, struct.error, IndexError, RecursionError):
        return 0


_MAGIC = 0xED0CDAED
_BRANCH, _LEAF = 1, 2
_PAGE = struct.Struct("<QHHI")
_META = struct.Struct("<IIIIQQQQQ")
_BRANCH_ELEMENT = struct.Struct("<IIQ")
_LEAF_ELEMENT = struct.Struct("<IIII")


def _keys(data: mmap.mmap) -> Iterator[bytes]:
    """Yield the keys of all buckets, from the newer one of the two meta pages."""
    first = _META.unpack_from(data, _PAGE.size)
    size = first[2] if first[0] == _MAGIC else 4096
    metas = (_META.unpack_from(data, number * size + _PAGE.size) for number in (0, 1))
    root = max((meta[7], meta[4]) for meta in metas if meta[0] == _MAGIC)[1]
    for _, value in _walk(data, root * size, size):
        inner = struct.unpack_from("<Q", value)[0]
        # A small bucket is stored in the value itself, after a header of 16 bytes.
        yield from (key for key, _ in (_walk(data, inner * size, size) if inner else _walk(value, 16, size)))


def _walk(data: mmap.mmap | bytes, at: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys of the tree below a page, each with the beginning of its value."""
    _, flags, count, _ = _PAGE.unpack_from(data, at)
    for number in range(count):
        element = at + _PAGE.size + 16 * number
        if flags & _BRANCH:
            yield from _walk(data, _BRANCH_ELEMENT.unpack_from(data, element)[2] * size, size)
        elif flags & _LEAF:
            _, position, key_size, value_size = _LEAF_ELEMENT.unpack_from(data, element)
            start = element + position
            end = start + key_size
            yield data[start:end], data[end : end + min(value_size, size)]
