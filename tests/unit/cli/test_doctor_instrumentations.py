"""What ``flask chest doctor`` says of libraries that could be instrumented."""

from __future__ import annotations

import json
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.instrumentation.requests import RequestsInstrumentor

from flask_chest_otel import FlaskChest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result
    from flask import Flask

    Chest = Callable[..., Result]


def distribution(folder: Path, name: str, version: str, *requirements: str) -> None:
    """Let a distribution be installed in a folder."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir()
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requirements)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chest: Chest, app: Flask) -> Iterator[Any]:
    """Installs a distribution, and asks the doctor; the state of each library that it names, and what to type."""
    folder = tmp_path / "installed"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    FlaskChest(app)

    def ask(*installed: tuple[str, str]) -> dict[str, tuple[str, str]]:
        for name, version in installed:
            distribution(folder, name, version)
        result = chest("doctor", "--no-send", "--json")
        report = json.loads(result.output)
        assert report["problems"] == []
        return {row["name"].partition(" ")[0]: (row["value"], row["why"]) for row in report["instrumentations"]}

    yield ask
    RequestsInstrumentor().uninstrument()


def test_missing(libraries: Any) -> None:
    """A library without its instrumentation is named, with what brings that; one that is not there is not."""
    found = libraries(("elasticsearch", "8.1"))
    assert found["elasticsearch"] == (
        "missing",
        "pip install flask-chest-otel opentelemetry-instrumentation-elasticsearch",
    )
    assert "cassandra-driver" not in found


def test_not_switched_on(libraries: Any) -> None:
    """One whose instrumentation nobody has switched on is named with its line; afterwards it is switched on."""
    assert libraries()["requests"] == ("not switched on", "RequestsInstrumentor().instrument()")
    RequestsInstrumentor().instrument()
    assert libraries()["requests"][0] == "switched on"


def test_a_version_that_is_refused(libraries: Any) -> None:
    """Instrumentation that refuses the version that is there is named, with the way around."""
    state, advice = libraries()["sqlalchemy"]
    if metadata.version("sqlalchemy") < "2.1":
        pytest.skip("this version is known")
    assert state == "refuses this version"
    assert "SQLAlchemyInstrumentor().instrument(skip_dep_check=True)" in advice


def test_what_is_below_another(libraries: Any) -> None:
    """Drivers below SQLAlchemy, and urllib3 below requests, need none of their own."""
    assert {"psycopg", "pymysql", "urllib3"}.isdisjoint(libraries())


def test_what_sqlalchemy_needs(libraries: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From SQLAlchemy 2.1 on greenlet is no longer installed with it, and its instrumentation cannot do without."""
    known = metadata.version

    def version(name: str) -> str:
        if name == "greenlet":
            raise metadata.PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(metadata, "version", version)
    assert libraries()["sqlalchemy"] == ("lacks greenlet", "pip install greenlet")


def test_packages_of_different_releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chest: Chest) -> None:
    """A package that wants another release of OpenTelemetry is a problem, with one command that mends it."""
    there = metadata.version("opentelemetry-semantic-conventions")
    distribution(tmp_path, "opentelemetry-instrumentation-tea", "9.9", "opentelemetry-semantic-conventions==9.9b9")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = chest("doctor", "--no-send", "--json")
    (problem,) = (one for one in json.loads(result.output)["problems"] if "fit" in one)
    assert f"tea 9.9 wants opentelemetry-semantic-conventions 9.9b9, not {there}" in problem
    command = problem.partition("type pip install ")[2].split()
    assert {"opentelemetry-sdk", "opentelemetry-instrumentation-tea"} <= set(command)
    assert result.exit_code == 1
