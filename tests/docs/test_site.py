"""The documentation as a site: built strictly, whole, and without anything from elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from tests.backends.require import missing
from tests.docs.pages import REPOSITORY, all_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MKDOCS = REPOSITORY / ".venvs" / "docs" / "bin" / "mkdocs"
ROW = re.compile(r"^\| ([\w ]+) \| (.*\]\((?:docs|examples)/.*) \|$", re.MULTILINE)


class Loader(yaml.SafeLoader):
    """YAML whose Python objects are left out."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


def navigation() -> dict[str, list[str]]:
    """Title of each section of the navigation to its pages."""
    nav = yaml.load((REPOSITORY / "mkdocs.yml").read_text("utf-8"), Loader)["nav"]  # noqa: S506 - a SafeLoader
    return {title: list(pages_in(entries)) for section in nav for title, entries in section.items()}


def pages_in(entries: Any) -> Iterator[str]:
    if isinstance(entries, str):
        yield entries
    for entry in entries if isinstance(entries, list) else ():
        yield from pages_in(next(iter(entry.values())))


def test_the_navigation_is_the_readmes_table() -> None:
    """The same sections in the same order, and in each at least the pages that the table names."""
    table = {
        title: re.findall(r"\]\(([^)]+)\)", cells)
        for title, cells in ROW.findall((REPOSITORY / "README.md").read_text("utf-8"))
    }
    found = navigation()
    assert list(found)[1:] == list(table)
    assert {title: [page for page in pages if page not in found[title]] for title, pages in table.items()} == {
        title: [] for title in table
    }


def test_every_page_is_in_the_navigation_once() -> None:
    """None is left out, none is there twice."""
    listed = [page for pages in navigation().values() for page in pages]
    assert len(listed) == len(set(listed))
    assert {str(page.relative_to(REPOSITORY)) for page in all_pages()} <= set(listed)


class Html(HTMLParser):
    """What one page links to, what it loads, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in ("script", "img", "iframe") and "src" in given:
            self.loads.append(given["src"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preconnect"):
            self.loads.append(given["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it."""
    if not MKDOCS.exists():
        missing("mkdocs is not installed: make docs")
    folder = tmp_path_factory.mktemp("site")
    command = [str(MKDOCS), "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    return {path.resolve(): Html(path) for path in site.rglob("*.html")}


def test_every_page_is_built(pages: dict[Path, Html]) -> None:
    """As many pages as the navigation has, and the one for what is not found."""
    assert len(pages) >= sum(map(len, navigation().values())) > 50


def test_links_of_the_site_lead_somewhere(pages: dict[Path, Html]) -> None:
    """Each link inside the site leads to a file of it, and its anchor to an element."""
    dead = [
        f"{path.name}: {link}"
        for path, page in pages.items()
        if path.name != "404.html"
        for link in page.links
        if not leads_somewhere(path, link, pages)
    ]
    assert dead == []


def leads_somewhere(path: Path, link: str, pages: dict[Path, Html]) -> bool:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if target not in pages:
        return target.is_file()
    return not parts.fragment or parts.fragment == "__codelineno" or unquote(parts.fragment) in pages[target].anchors


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Html]) -> None:
    """Scripts, styles and pictures are part of the site, so it works without a network."""
    assert {load for page in pages.values() for load in page.loads if urlsplit(load).netloc} == set()


def test_what_is_generated_has_types_and_defaults(site: Path) -> None:
    """The API shows arguments with their real defaults, not with the marker of the signature."""
    text = (site / "reference" / "api.html").read_text("utf-8")
    assert "unset(" not in text
    assert 'id="flask_chest_otel.extension.FlaskChest"' in text
    assert "268435456" in text


def test_the_search_finds_pages_by_their_words(site: Path) -> None:
    """The index has sections of the pages, with their text."""
    docs = json.loads((site / "search" / "search_index.json").read_text("utf-8"))["docs"]
    found = {one["location"].partition("#")[0] for one in docs if "resend" in one["text"]}
    assert "how-to/reliability.html" in found
