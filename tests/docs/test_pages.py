"""Every code block of the README and the documentation runs, and prints what its page says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.backends.require import missing
from tests.docs.pages import REPOSITORY, Page, all_pages, blocks_of, needs

if TYPE_CHECKING:
    from pathlib import Path

TEST = re.compile(r"`([\w/]+\.py)?::(test_\w+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
COLLECTOR_PAGES = sorted((REPOSITORY / "collector-config").rglob("*.md"))


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", all_pages(), ids=name_of)
def test_a_page_does_what_it_says(path: Path, tmp_path: Path) -> None:
    """Programs run, commands print what the page shows, data are well-formed."""
    page = Page(path, tmp_path)
    for command in needs(page):
        missing(f"{command} is not installed: apt-get install {command}")
    page.run()


@pytest.mark.parametrize("path", [*all_pages(), *COLLECTOR_PAGES], ids=name_of)
def test_links_inside_the_repository_lead_somewhere(path: Path) -> None:
    """A relative link names a file that is there."""
    targets = [target.partition("#")[0] for target in LINK.findall(path.read_text(encoding="utf-8"))]
    dead = [
        target
        for target in targets
        if target and "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()
    ]
    assert not dead


def headings(path: Path) -> set[str]:
    """The anchors of a page's headings, as they are made of their words."""
    found = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("path", [*all_pages(), *COLLECTOR_PAGES], ids=name_of)
def test_links_to_headings_lead_somewhere(path: Path) -> None:
    """What stands behind ``#`` is a heading of the page that is meant."""
    targets = [target for target in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in target]
    split = [(name, anchor) for name, _, anchor in (target.partition("#") for target in targets) if anchor]
    dead = [
        f"{name}#{anchor}" for name, anchor in split if anchor not in headings(path.parent / name if name else path)
    ]
    assert not dead


def test_the_first_example_is_short() -> None:
    """The README's example fits on a slide: 15 lines."""
    first = next(
        block for block in blocks_of((REPOSITORY / "README.md").read_text("utf-8")) if block.language == "python"
    )
    assert len(first.text.splitlines()) <= 15


def test_the_readme_begins_with_the_two_commands() -> None:
    """What a visitor types first stands first."""
    first = blocks_of((REPOSITORY / "README.md").read_text("utf-8"))[0]
    assert [command for command, _ in first.commands] == ["make demo", "make test"]


def test_tests_that_a_page_names_are_there() -> None:
    """``file.py::test`` names a test of this suite; ``::test`` one of the file before it."""
    named = []
    for path in all_pages():
        file = ""
        for found, test in TEST.findall(path.read_text(encoding="utf-8")):
            file = found or file
            named.append((file, test))
    assert len(named) > 30
    missing_ones = [
        f"{file}::{test}"
        for file, test in named
        if not re.search(rf"^def {test}\(", (REPOSITORY / "tests" / file).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing_ones == []
