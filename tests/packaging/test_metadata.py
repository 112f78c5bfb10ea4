"""What pyproject.toml promises is consistent, and no promise is tighter than it has to be."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import flask_chest_otel

if TYPE_CHECKING:
    from collections.abc import Iterable

tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")

REPOSITORY = Path(__file__).resolve().parents[2]
NEWEST_MINOR = 14


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    return found


def requirements(pyproject: dict[str, Any]) -> list[Requirement]:
    """Everything that anybody has to install, extras and groups included."""
    project = pyproject["project"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *pyproject["dependency-groups"].values(),
    ]
    return [Requirement(text) for group in lists for text in group if isinstance(text, str)]


def test_the_python_versions_say_the_same_everywhere(pyproject: dict[str, Any]) -> None:
    """Classifiers, requires-python, ruff, mypy and the README agree."""
    classifiers = pyproject["project"]["classifiers"]
    minors = sorted(int(match[1]) for one in classifiers if (match := re.search(r":: 3\.(\d+)$", one)))
    assert minors == list(range(minors[0], NEWEST_MINOR + 1))
    oldest = minors[0]
    assert SpecifierSet(pyproject["project"]["requires-python"]) == SpecifierSet(f">=3.{oldest}")
    assert pyproject["tool"]["ruff"]["target-version"] == f"py3{oldest}"
    assert pyproject["tool"]["mypy"]["python_version"] == f"3.{oldest}"
    assert f"Python 3.{oldest} to 3.{NEWEST_MINOR}" in (REPOSITORY / "README.md").read_text("utf-8")


def test_there_are_lower_bounds_only(pyproject: dict[str, Any]) -> None:
    """OpenTelemetry's packages pin each other: one exact pin here can make a set of them unsolvable."""
    operators = {spec.operator for requirement in requirements(pyproject) for spec in requirement.specifier}
    assert operators == {">="}


def test_the_lowest_versions_are_those_that_are_promised(pyproject: dict[str, Any]) -> None:
    """tests/packaging/lowest.txt satisfies every bound and is in the series that the bound names."""
    lines = (REPOSITORY / "tests" / "packaging" / "lowest.txt").read_text("utf-8").splitlines()
    lowest = _versions(line for line in lines if line and not line.startswith("#"))
    bounds = _versions(pyproject["project"]["dependencies"])
    assert set(bounds) <= set(lowest)
    for name, bound in bounds.items():
        assert lowest[name] == bound or lowest[name].startswith(f"{bound}."), name


def _versions(lines: Iterable[str]) -> dict[tuple[str, str], str]:
    """Name and marker (which Python) of each requirement, with its version."""
    found = map(Requirement, lines)
    return {(one.name, str(one.marker or "")): next(iter(one.specifier)).version for one in found}


def test_the_version_is_the_published_one() -> None:
    """The package says the version that it is installed under."""
    assert importlib.metadata.version("flask-chest-otel") == flask_chest_otel.__version__


def test_the_changelog_knows_what_is_not_published() -> None:
    """Keep a Changelog: there is a section for what comes next."""
    text = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    assert text.startswith("# Changelog\n")
    assert "\n## [Unreleased]\n" in text
