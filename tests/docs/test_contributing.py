"""The pages for contributors name what there is, and leave nothing out."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
import yaml

from flask_chest_otel import FlaskChest
from flask_chest_otel.config import ChestConfig
from tests.docs.pages import REPOSITORY, all_pages
from tests.unit.test_architecture import ROOMS

CONTRIBUTING = REPOSITORY / "docs" / "contributing"
TESTING = (CONTRIBUTING / "testing.md").read_text("utf-8")
FOR_CONTRIBUTORS = [REPOSITORY / "CONTRIBUTING.md", *sorted(CONTRIBUTING.glob("*.md"))]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
MADE_LATER = ("dist/", "site/", ".venv", ".build/")
"""What a checkout has only when something was built."""

NOT_EXPLAINED = {"_version", "_pytest_plugin"}
"""Modules at the root of the package that hold a number, and a line for pytest."""


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE))


def first_column(text: str) -> set[str]:
    """What stands in backticks in the first cell of each row of all tables."""
    cells = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_the_folders_of_tests_are_explained() -> None:
    """Each folder below tests/ has a row that says what it holds."""
    folders = {
        f"tests/{path.name}" for path in (REPOSITORY / "tests").iterdir() if path.is_dir() and path.name[0] != "_"
    }
    assert {name for name in first_column(TESTING) if name.startswith("tests/")} == folders


def test_the_servers_of_tests_are_explained() -> None:
    """Each module of tests/backends, and each script that builds a server, has a row in the README there."""
    backends = REPOSITORY / "tests" / "backends"
    files = [*backends.glob("*.py"), *backends.glob("*/build.sh"), *backends.glob("*.json")]
    explained = first_column((backends / "README.md").read_text("utf-8"))
    assert {str(path.relative_to(backends)) for path in files} == explained


def test_what_debian_has_for_tests_is_explained() -> None:
    """Each package that is installed for tests stands in the README's table."""
    backends = REPOSITORY / "tests" / "backends"
    packages = re.findall(r"^([\w-]+)", (backends / "apt-packages.txt").read_text("utf-8"), re.MULTILINE)
    table = (backends / "README.md").read_text("utf-8").partition("## What has to be installed")[2]
    assert [name for name in packages if not re.search(rf"(?<![\w-]){name}(?![\w-])", table)] == []


def test_the_rooms_are_explained() -> None:
    """The table of rooms has the same rooms on the same lines as the test that holds who imports whom."""
    page = (CONTRIBUTING / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", page, re.MULTILINE)
    found = [set(re.findall(r"`(\w+)`", row)) for row in rows]
    assert found == [rooms - NOT_EXPLAINED - {"__init__"} for rooms in ROOMS]


@pytest.mark.parametrize("page", FOR_CONTRIBUTORS, ids=lambda page: page.name)
def test_paths_that_are_named_are_there(page: Any) -> None:
    """What looks like a path in backticks is one, in the repository or in the package."""
    named = re.findall(r"`(\.?\w[\w.-]*/[\w./*-]*)`", page.read_text("utf-8"))
    places = (REPOSITORY, REPOSITORY / "flask_chest_otel")
    missing = [
        path
        for path in named
        if not path.startswith(MADE_LATER) and not any(next(place.glob(path.rstrip("/")), None) for place in places)
    ]
    assert missing == []


def test_targets_of_make_that_are_named_are_there() -> None:
    """A page, a template or a workflow names no target that the Makefile does not have."""
    known = targets()
    others = [*WORKFLOWS, *(REPOSITORY / ".github").rglob("*.md"), REPOSITORY / ".ci" / "run"]
    for path in {*all_pages(), *FOR_CONTRIBUTORS, *others}:
        text = path.read_text("utf-8")
        named = re.findall(r"(?:`|\$ |run: )(?:\w+=\S+ )*make (?:PYTHON=\S+ )?([a-z]+(?:-[a-z]+)*)", text)
        assert set(named) <= known, path


@pytest.mark.parametrize(
    ("schema", "files"), [("workflows", WORKFLOWS), ("issue-forms", [one for one in FORMS if one.stem != "config"])]
)
def test_the_forge_can_read_its_files(schema: str, files: list[Any]) -> None:
    """Workflows and forms for issues keep to the forge's schemas."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.github-{schema}"]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_forge_runs_what_we_promise() -> None:
    """The suite runs with every Python that is promised; lint, the other suites and `.ci/run` have jobs."""
    jobs = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]
    classifiers = re.findall(r":: (3\.\d+)\"", (REPOSITORY / "pyproject.toml").read_text("utf-8"))
    assert jobs["suite"]["strategy"]["matrix"]["python"] == classifiers
    text = json.dumps(jobs)
    parts = ("make lint", "test-suite", "test-lowest", "test-declarative", "test-wheel", ".ci/run")
    assert [part for part in parts if part not in text] == []


def test_every_setting_is_an_argument_with_a_line() -> None:
    """`FlaskChest` says in its docstring what each setting does: the page of the API is made from it."""
    described = re.findall(r"^ {4}(\w+): ", inspect.getdoc(FlaskChest) or "", re.MULTILINE)
    assert [row.name for row in fields(ChestConfig) if row.name not in described] == []
