"""Says in words how two configurations differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_chest_otel._collector.outline import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_chest_otel._collector.outline import Node

__all__ = ["changes"]


def changes(old: str, new: str) -> list[str]:
    """Return a sentence for each setting that is new, gone or different; comments are ignored."""
    before, after = dict(_settings(parse(old))), dict(_settings(parse(new)))
    found = [f"gone: {path}" for path in before if path not in after]
    found += [f"new: {path}: {after[path]}".rstrip(": ") for path in after if path not in before]
    both = [path for path in after if path in before and before[path] != after[path]]
    return found + [f"changed: {path}: {before[path]} becomes {after[path]}" for path in both]


def _settings(nodes: dict[str, Node], above: str = "") -> Iterator[tuple[str, str]]:
    for node in nodes.values():
        path = f"{above}{node.key}"
        lines = [line.strip() for line in node.lines if line.strip() and not line.lstrip().startswith("#")]
        if not node.children:
            yield path, " ".join(filter(None, [node.value, *lines]))
        yield from _settings(node.children, f"{path} > ")
