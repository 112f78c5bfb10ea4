"""The wheel that users install, built from the sdist and used in an environment that knows nothing of this checkout."""

from __future__ import annotations

import json
import subprocess
import tarfile
import textwrap
import zipfile
from pathlib import Path

from tests.docs.pages import blocks_of
from tests.packaging.environments import run

REPOSITORY = Path(__file__).resolve().parents[2]
TUTORIAL = REPOSITORY / "docs" / "tutorial" / "first-variables.md"

ENTRY_POINTS = {
    "opentelemetry_instrumentor": "flask_chest",
    "opentelemetry_id_generator": "flask_chest",
    "flask.commands": "chest",
    "pytest11": "flask_chest",
}


def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    """Types are marked, the collector's configuration is inside, tests and tools are not."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "flask_chest_otel/py.typed" in names
    assert "flask_chest_otel/collector_config/base.yaml" in names
    assert "flask_chest_otel/collector_config/influxdb.yaml" in names
    assert {name.split("/")[0] for name in names} == {"flask_chest_otel", "flask_chest_otel-0.1.0.dist-info"}
    assert not [name for name in names if "__pycache__" in name]
    assert [name for name in names if name.endswith("/licenses/LICENSE")]


def test_the_sdist_has_what_a_packager_needs(built: Path) -> None:
    """It is what git knows, so that everything a checkout can do, its tests too, can be done there."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if not member.isdir()}
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    assert names == {*known, "PKG-INFO"}


def test_the_collector_configuration_is_found_by_the_installed_package(python: Path, tmp_path: Path) -> None:
    """It lies beside the modules, readable as package data."""
    code = "from importlib.resources import files; print(files('flask_chest_otel') / 'collector_config' / 'base.yaml')"
    assert Path(run(python, tmp_path, "-c", code).strip()).is_file()


def test_every_entry_point_loads(python: Path, tmp_path: Path) -> None:
    """What OpenTelemetry, Flask and pytest look up is there and can be imported."""
    code = f"""
        from importlib.metadata import entry_points
        for group, name in {ENTRY_POINTS!r}.items():
            (found,) = [one for one in entry_points(group=group) if one.name == name]
            print(group, found.load())
    """
    assert len(run(python, tmp_path, "-c", textwrap.dedent(code)).splitlines()) == len(ENTRY_POINTS)


def test_the_first_example_of_the_readme_runs(python: Path, tmp_path: Path) -> None:
    """Copied from the README and asked for a cart, it answers, and the command shows what it tracked."""
    first = next(
        block for block in blocks_of((REPOSITORY / "README.md").read_text("utf-8")) if block.language == "python"
    )
    (tmp_path / "shop.py").write_text(first.text, encoding="utf-8")
    code = """
        import shop
        response = shop.app.test_client().post("/cart/7", headers={"X-Request-ID": "r-17"})
        assert response.status_code == 200, response
        assert shop.app.extensions["flask_chest"].force_flush(10)
    """
    run(python, tmp_path, "-c", textwrap.dedent(code))
    shown = json.loads(run(python, tmp_path, "-m", "flask", "--app", "shop", "chest", "requests", "--json"))
    assert shown["request_id"] == "r-17"
    assert shown["variables"] == {"cart_total": 42.5, "plan": "gold", "user_id": "u1"}


def test_the_tutorial_begins(python: Path, tmp_path: Path) -> None:
    """After its first step its application runs, without a word more, and its commands show the request."""
    (tmp_path / "app.py").write_text(
        next(block for block in blocks_of(TUTORIAL.read_text("utf-8")) if block.language == "python").text, "utf-8"
    )
    ask = "import app; print(app.app.test_client().get('/cart/1', headers={'X-User': 'ada'}).text)"
    assert run(python, tmp_path, "-c", ask) == '{"cart":1}\n\n'
    assert "user_id=ada" in run(python, tmp_path, "-m", "flask", "chest", "requests")


def test_the_pytest_fixture_is_there(python: Path, tmp_path: Path) -> None:
    """Installing the package is enough for `chest_records`."""
    assert "chest_records" in run(python, tmp_path, "-m", "pytest", "--fixtures", "-q")
