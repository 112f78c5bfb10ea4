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


def name_of(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", all_pages(), ids=name_of)
def test_a_page_does_what_it_says(path: Path, tmp_path: Path) -> None:
    """Programs run, commands print what the page shows, data are well-formed."""
    page = Page(path, tmp_path)
    for command in needs(page):
        missing(f"{command} is not installed: apt-get install {command}")
    page.run()


@pytest.mark.parametrize("path", all_pages(), ids=name_of)
def test_links_inside_the_repository_lead_somewhere(path: Path) -> None:
    """A relative link names a file that is there."""
    targets = [target.partition("#")[0] for target in LINK.findall(path.read_text(encoding="utf-8"))]
    dead = [
        target
        for target in targets
        if target and "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()
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
