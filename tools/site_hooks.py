"""What mkdocs.yml leaves to code: which files are pages, and the API from docstrings.

Pages keep their places in the repository, so a relative link means the same on the forge and in the site. What lies
below ``docs/`` is served without that folder's name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import griffe
from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Docstrings", "on_files", "on_page_markdown"]

REPOSITORY = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "collector-config", "examples")
"""Below these every Markdown file is a page, and so is every one at the root."""

_LINK = re.compile(r"\]\(([^)\s#]+)[^)\s]*\)")
_TEST_ORDER = re.compile(r"<!-- test: (?:(?!-->).)+? -->\n", re.DOTALL)
_API_ENTRY = re.compile(r"^### `(\w+)`\n\n<!-- object: ([\w.]+) -->\n.*?(?=^###? |\Z)", re.MULTILINE | re.DOTALL)
_DEFAULT = re.compile(r"^#+ `(\w+)`$.*?^\* default: `([^`\n]+)`", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Replace what mkdocs found in docs/ by the pages of the whole repository, and what these link to."""
    docs = Path(config.docs_dir)
    of_the_theme = [file for file in files if file.src_dir is None or Path(file.src_dir) != docs]
    return Files([*of_the_theme, *(_file(path, config) for path in sorted(_published()))])


def _published() -> set[Path]:
    pages = {path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.md")} | {*REPOSITORY.glob("*.md")}
    assets = {path for path in (REPOSITORY / "docs" / "assets").rglob("*") if path.is_file()}
    return pages | assets | {target for page in pages for target in _linked_files(page)}


def _linked_files(page: Path) -> Iterator[Path]:
    for target in _LINK.findall(page.read_text("utf-8")):
        path = (page.parent / target).resolve()
        if "://" not in target and path.is_file() and path.is_relative_to(REPOSITORY):
            yield path


def _file(path: Path, config: Any) -> File:
    source = path.relative_to(REPOSITORY).as_posix()
    file = File(source, str(REPOSITORY), config.site_dir, config.use_directory_urls)
    file.dest_uri = file.dest_uri.removeprefix("docs/")
    return file


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Leave out what is for the tests; on the API's page, let mkdocstrings show what the forge gets as Markdown."""
    markdown = _TEST_ORDER.sub("", markdown)
    if page.file.src_uri == "docs/reference/api.md":
        markdown = _API_ENTRY.sub(_as_directive, markdown)
    return markdown


def _as_directive(entry: re.Match[str]) -> str:
    # With the anchor that the heading has on the forge.
    return f'<a id="{entry[1].lower()}"></a>\n\n::: {entry[2]}\n\n'


class Docstrings(griffe.Extension):
    """What mkdocstrings shows: Sphinx's roles (``:class:`TrackedVar```) as plain code, and the defaults of settings."""

    def __init__(self) -> None:
        super().__init__()
        self._defaults = dict(_DEFAULT.findall((REPOSITORY / "docs/reference/settings.md").read_text("utf-8")))

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", obj.docstring.value.replace("``", "`"))

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Show what a setting is unless given, in place of the marker that stands in the signature."""
        for parameter in func.parameters:
            if str(parameter.default).startswith("unset("):
                parameter.default = self._defaults[parameter.name]
