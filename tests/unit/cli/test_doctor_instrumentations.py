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


def distribution(folder: Path, name: str, version: str) -> None:
    """Let a distribution be installed in a folder."""
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


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
    assert found["elasticsearch"] == ("missing", "pip install opentelemetry-instrumentation-elasticsearch")
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
