"""The packages of a release: built, looked at, installed and used."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

from tools.release.commands import ABOUT, DIST, REPOSITORY, WORK, CheckError, environment, run

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["addresses", "build", "collector", "contents", "installed", "installed_collector", "metadata", "version"]

WHEELS = REPOSITORY / "packaging" / "collector" / "wheels.py"
EPOCH = "1580601600"
USED = """
import shop
response = shop.app.test_client().post("/cart/7", headers={"X-Request-ID": "r-17"})
assert response.status_code == 200, response
assert shop.app.extensions["flask_chest"].force_flush(10)
"""


def version() -> str:
    """The version that the package says."""
    found: str = runpy.run_path(str(REPOSITORY / "flask_chest_otel" / "_version.py"))["__version__"]
    return found


def one(pattern: str) -> Path:
    """The one file of this name among what is built."""
    found = list(DIST.glob(pattern))
    if len(found) != 1:
        raise CheckError(f"there is not one {pattern} in {DIST}: {found}")
    return found[0]


def build() -> str:
    """Source distribution and wheel, twice."""
    for folder in (DIST, WORK / "again"):
        shutil.rmtree(folder, ignore_errors=True)
        run(sys.executable, "-m", "build", "--outdir", folder, SOURCE_DATE_EPOCH=EPOCH)
    ABOUT.mkdir()
    for path in (WORK / "again").iterdir():
        if path.read_bytes() != (DIST / path.name).read_bytes():
            raise CheckError(f"{path.name} is not the same when it is built again")
    return "sdist and wheel, built twice: the same bytes"


def collector(targets: list[str]) -> str:
    """The collector's wheels, twice. What builds their programs prints by itself: the first time takes long."""
    for folder in (DIST, WORK / "again"):
        run(sys.executable, WHEELS, *targets, "--out", folder)
    made = sorted(DIST.glob("flask_chest_collector-*.whl"))
    for path in made:
        if path.read_bytes() != (WORK / "again" / path.name).read_bytes():
            raise CheckError(f"{path.name} is not the same when it is made again")
        if f"-{version()}-" not in path.name:
            raise CheckError(f"{path.name} has not the version {version()}: see builder.yaml")
    largest = max(path.stat().st_size for path in made) / 1e6
    return f"{len(made)} of 5 kinds of machines, {largest:.0f} MB at most, made twice"


def metadata() -> str:
    """The pages of the index can be drawn, the wheels hold what wheels should."""
    packages = [*sorted(DIST.glob("*.whl")), *sorted(DIST.glob("*.tar.gz"))]
    run(sys.executable, "-m", "twine", "check", "--strict", *packages)
    wheels = [path for path in packages if path.suffix == ".whl"]
    run(sys.executable, "-m", "check_wheel_contents", *wheels)
    return f"twine check --strict, check-wheel-contents: {len(packages)} files"


def addresses() -> str:
    """Where the wheel says that the project is. It may say nothing: that is told, and is no failure."""
    path = one("flask_chest_otel-*.whl")
    with zipfile.ZipFile(path) as wheel:
        metadata = wheel.read(f"flask_chest_otel-{version()}.dist-info/METADATA").decode()
    found = re.findall("^Project-URL: (.+)$", metadata.partition("\n\n")[0], re.MULTILINE)
    return ", ".join(found) or "NONE YET: see step 6 of docs/contributing/releasing.md"


def installed(pattern: str) -> str:
    """Installed in a fresh environment, README's first example answers, and the command shows what it tracked."""
    name = "sdist" if pattern.endswith(".gz") else "wheel"
    python = environment(name, one(pattern))
    folder = WORK / f"{name}-shop"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "shop.py").write_text(_example(), "utf-8")
    run(python, "-c", USED, folder=folder)
    shown = json.loads(run(python, "-m", "flask", "--app", "shop", "chest", "requests", "--json", folder=folder))
    if (shown["request_id"], shown["variables"].get("cart_total")) != ("r-17", 42.5):
        raise CheckError(f"README's example tracked {shown}")
    return "README's example runs, and its request is shown"


def _example() -> str:
    found = re.search(
        r"^```python\n(.*?)^```$", (REPOSITORY / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    if found is None:
        raise CheckError("README.md has no example")
    return found[1]


def installed_collector() -> str:
    """The extra brings the program for this machine, and `run` would start that one."""
    wheel = f"{one('flask_chest_otel-*.whl')}[collector]"
    python = environment("collector", wheel)
    said = run(python.with_name("flask-chest-collector"), "--version").strip()
    find = "from flask_chest_otel._collector.binary import find; print(find())"
    found = run(python, "-c", find, folder=WORK).strip()
    if not found.startswith(str(python.parents[1])):
        raise CheckError(f"`flask chest collector run` would start {found}")
    return said


def contents() -> str:
    """A list of every file in every package."""
    lines = [f"{path.name}\n" + "".join(f"  {name}\n" for name in _names(path)) for path in sorted(DIST.glob("*.*"))]
    (ABOUT / "CONTENTS.txt").write_text("\n".join(lines), "utf-8")
    strange = [
        name for name in "".join(lines).split() if re.search(r"__pycache__|\.pyc$|/\.(venv|git|build)/|\.env$", name)
    ]
    if strange:
        raise CheckError(f"these do not belong into a package: {strange}")
    return f"{sum(line.count(chr(10)) - 1 for line in lines)} files, listed in dist/about/CONTENTS.txt"


def _names(package: Path) -> list[str]:
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            return sorted(archive.namelist())
    with tarfile.open(package) as archive:
        return sorted(member.name for member in archive if member.isfile())
