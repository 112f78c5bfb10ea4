"""Reads the collector's YAML into a tree of keys that keeps every comment in its place.

This is no complete YAML parser. It knows block mappings, because the collector merges these, and keeps everything else
(lists, texts, inline maps) as lines. So comments stay, and the package needs no YAML library. A test compares the
result with that of a real parser.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["Node", "merge", "parse", "text_of"]

_KEY = re.compile(r"( *)([\w./-]+):(?: (.*))?")


@dataclass(slots=True)
class Node:
    """One key of a block mapping.

    Attributes:
        key: The key.
        value: The rest of its line: empty, an anchor, or a whole value.
        above: Comments and empty lines above it.
        children: The keys below it, where the value is a block mapping.
        lines: The lines below it, where the value is anything else.
    """

    key: str
    value: str = ""
    above: list[str] = field(default_factory=list)
    children: dict[str, Node] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def at(self, *path: str) -> Node | None:
        """Return the node at a path of keys below this one; ``None`` where there is none."""
        found: Node | None = self
        for key in path:
            found = found.children.get(key) if found is not None else None
        return found

    @property
    def inline_list(self) -> list[str]:
        """The entries of a value that is written as ``[a, b]``."""
        return [entry.strip() for entry in self.value.strip("[]").split(",") if entry.strip()]


def parse(text: str) -> dict[str, Node]:
    """Parse a file, and return its top keys."""
    return _children(text.splitlines(), 0)


def merge(base: dict[str, Node], other: dict[str, Node]) -> None:
    """Merge ``other`` into ``base`` by the collector's rule: maps are merged, everything else is replaced."""
    for key, node in other.items():
        there = base.get(key)
        if there is None:
            base[key] = node
        elif there.children and node.children:
            there.above += [line for line in node.above if line and line not in there.above]
            merge(there.children, node.children)
        else:
            base[key] = node


def text_of(nodes: dict[str, Node]) -> str:
    """Return the tree as YAML."""
    return "".join(f"{line}\n" for line in _lines(nodes, 0))


def _lines(nodes: dict[str, Node], indent: int) -> list[str]:
    found: list[str] = []
    for node in nodes.values():
        value = f" {node.value}" if node.value else ""
        found += [*node.above, f"{' ' * indent}{node.key}:{value}", *node.lines, *_lines(node.children, indent + 2)]
    return found


def _children(lines: list[str], indent: int) -> dict[str, Node]:
    found: dict[str, Node] = {}
    above: list[str] = []
    at = 0
    while at < len(lines):
        match = _KEY.fullmatch(lines[at])
        if match is None or len(match[1]) != indent:
            above.append(lines[at])
            at += 1
            continue
        end = _end(lines, at + 1, indent)
        node = found[match[2]] = Node(match[2], match[3] or "", above)
        _fill(node, lines[at + 1 : end], indent + 2)
        above, at = [], end
    return found


def _end(lines: list[str], start: int, indent: int) -> int:
    """Return where the block of a key ends; comments and empty lines before the next key belong to the next key."""
    end = start
    for at in range(start, len(lines)):
        line = lines[at]
        if line.strip() and len(line) - len(line.lstrip()) <= indent:
            break
        if line.strip() and not line.lstrip().startswith("#"):
            end = at + 1
    return end


def _fill(node: Node, body: list[str], indent: int) -> None:
    first = next((line for line in body if line.strip() and not line.lstrip().startswith("#")), "")
    match = _KEY.fullmatch(first)
    if match is not None and len(match[1]) == indent:
        node.children = _children(body, indent)
    else:
        node.lines = body
