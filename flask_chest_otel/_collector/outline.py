"""The collector's YAML as an outline of keys, with every comment where it was.

Not a YAML parser: it knows block mappings, which is what the collector merges, and carries everything below them
(lists, texts, inline maps) as lines. So the comments of the fragments survive, and the package needs no YAML library.
A test compares what comes out with what a real parser makes of the same files.
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
        value: What stands behind it on its line: nothing, an anchor, a whole value.
        above: Comment and empty lines above it.
        children: Keys below it, where it is a block mapping.
        lines: Lines below it, where it is anything else.
    """

    key: str
    value: str = ""
    above: list[str] = field(default_factory=list)
    children: dict[str, Node] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def at(self, *path: str) -> Node | None:
        """The node at a path of keys below this one."""
        found: Node | None = self
        for key in path:
            found = found.children.get(key) if found is not None else None
        return found

    @property
    def inline_list(self) -> list[str]:
        """The entries of a value such as ``[a, b]``."""
        return [entry.strip() for entry in self.value.strip("[]").split(",") if entry.strip()]


def parse(text: str) -> dict[str, Node]:
    """The outline of a file: its top keys."""
    return _children(text.splitlines(), 0)


def merge(base: dict[str, Node], other: dict[str, Node]) -> None:
    """Put ``other`` over ``base`` by the collector's rule: maps are merged, everything else is replaced."""
    for key, node in other.items():
        there = base.get(key)
        if there is None:
            base[key] = node
        elif there.children and node.children:
            there.above += [line for line in node.above if line and line not in there.above]
            merge(there.children, node.children)
        else:
            base[key] = node


def text_of(nodes: dict[str, Node], indent: int = 0) -> str:
    """The outline as YAML."""
    return "".join(f"{line}\n" for line in _lines(nodes, indent))


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
    """Where the block below a key ends; comments and empty lines before the next key belong to that one."""
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
