"""The page of log lines names every line that the package logs while an application runs, and every error it raises."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = REPOSITORY / "flask_chest_otel"
COMMANDS = ("_cli", "_collector", "_doctor", "_viewer")
"""These talk to whoever types a command."""

MESSAGE_AT = {
    "info": 0,
    "warning": 0,
    "error": 0,
    "once": 0,
    "_log_once": 0,
    "count_refusal": 2,
    "_say": 1,
    "_say_once": 0,
    "LossReport": 1,
}
"""Functions that log, and which of their arguments is the message."""

RAISED = {"ChestSetupError", "ChestOffError", "RuntimeError", "ImportError"}
PLACEHOLDER = re.compile(r"%[srd]|\0")
SHORTEST = 8


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in COMMANDS:
            yield path, ast.parse(path.read_text("utf-8"))


def text_of(node: ast.expr, constants: dict[str, str]) -> str | None:
    """The text that an argument stands for, with a mark where something is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
    return None


def constants_of(trees: list[ast.Module]) -> dict[str, str]:
    """Constants of all modules whose value is a text: messages that several places use."""
    found = {}
    for tree in trees:
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                text = text_of(node.value, {})
                if text:
                    found[node.targets[0].id] = text
    return found


def messages() -> list[tuple[str, str]]:
    """Place and text of each message."""
    trees = list(sources())
    constants = constants_of([tree for _, tree in trees])
    return [
        (f"{path.relative_to(PACKAGE)}:{node.lineno}", text)
        for path, tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (argument := message_argument(node)) is not None
        if (text := text_of(argument, constants)) is not None
    ]


def message_argument(call: ast.Call) -> ast.expr | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    at = 0 if name in RAISED else MESSAGE_AT.get(name)
    return call.args[at] if at is not None and at < len(call.args) else None


def mark_of(text: str) -> str:
    """The words by which one recognises a line: the longest clause of it in which nothing is put in."""
    return max((plain(re.split(r"[:;,] | \(", plain(piece))[0]) for piece in PLACEHOLDER.split(text)), key=len)


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub("[`*]", "", text)).strip(" :;,()")


PAGE = plain((REPOSITORY / "docs" / "reference" / "log-lines.md").read_text("utf-8"))


def test_the_messages_are_found() -> None:
    """The search sees calls of all kinds: a new way to log has to be added to it."""
    texts = [text for _, text in messages()]
    assert len(texts) > 60
    for begin in ("%s takes", "the outbox is full", "cannot write", "there is a TracerProvider", "uWSGI runs without"):
        assert any(text.startswith(begin) for text in texts), begin


@pytest.mark.parametrize(("place", "text"), messages())
def test_the_page_names_the_message(place: str, text: str) -> None:
    """The words by which a line is recognised stand on the page."""
    mark = mark_of(text)
    if len(mark) >= SHORTEST:
        assert mark in PAGE, f"{place}: add it to docs/reference/log-lines.md"
