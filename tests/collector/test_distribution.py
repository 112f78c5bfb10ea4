"""What is in the binary, and how the scripts that build one behave."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.backends.collector import CONFIG
from tests.backends.require import BUILD_SCRIPTS, EXIT_MISSING, REPOSITORY, require_built

if TYPE_CHECKING:
    from pathlib import Path

SCRIPTS = sorted(BUILD_SCRIPTS.items())
TOOLCHAINS = {"zipkin": ("mvn", "apt-get install maven"), "kafka": ("mvn", "apt-get install maven")}
"""What a script misses first, and where that comes from; the others want Go."""
GO = ("go", "https://go.dev/dl/")


def run(script: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(script), *arguments], env=env, capture_output=True, text=True, check=False)


def used_components() -> dict[str, set[str]]:
    """Return the component types that `collector-config/*.yaml` names, by kind."""
    kinds = ("receivers", "processors", "connectors", "exporters", "extensions")
    found: dict[str, set[str]] = {kind: set() for kind in kinds}
    for path in CONFIG.glob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        for kind in kinds:
            found[kind] |= {name.split("/")[0] for name in document.get(kind) or ()}
    return found


@pytest.mark.real
def test_binary_holds_every_component_that_the_configuration_names() -> None:
    """Every component type in collector-config is among those that the built collector lists."""
    binary = require_built("flask-chest-collector")
    listed: dict[str, Any] = yaml.safe_load(run(binary, "components").stdout)
    for kind, names in used_components().items():
        held = {entry["name"] for entry in listed[kind]}
        assert names <= held, f"{kind} that are not in the binary: {names - held}"
    assert used_components()["exporters"], "nothing was compared"


@pytest.mark.real
@pytest.mark.parametrize(("name", "script"), SCRIPTS)
def test_nothing_to_do_takes_no_time(name: str, script: Path) -> None:
    """When the binary is up to date the script returns in under a second and says nothing."""
    require_built(name)
    started = time.monotonic()
    done = run(script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - started < 1.0


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a copy of the scripts alone, as in a fresh clone."""
    for script in BUILD_SCRIPTS.values():
        shutil.copytree(script.parent, tmp_path / "clone" / script.parent.relative_to(REPOSITORY))
    return tmp_path / "clone"


@pytest.mark.real
@pytest.mark.parametrize(("name", "script"), SCRIPTS)
def test_fresh_clone_takes_it_from_the_cache(name: str, script: Path, clone: Path, tmp_path: Path) -> None:
    """A clone beside a warm cache needs no toolchain."""
    require_built(name)
    fresh = clone / script.relative_to(REPOSITORY)
    cache = tmp_path / "cache" / "flask-chest-otel"
    cache.mkdir(parents=True)
    inputs = (REPOSITORY / ".build" / "bin" / f"{name}.inputs").read_text().strip()
    shutil.copy(REPOSITORY / ".build" / "bin" / name, cache / f"{name}-{inputs}")
    done = run(fresh, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert done.returncode == 0, done.stderr
    assert os.access(clone / ".build" / "bin" / name, os.X_OK)


@pytest.mark.parametrize(("name", "script"), SCRIPTS)
def test_missing_toolchain_says_what_to_install(name: str, script: Path, clone: Path, tmp_path: Path) -> None:
    """Without go, or Maven, the script names it and where it comes from, and ends with the status for that."""
    tool_it_wants, source = TOOLCHAINS.get(name, GO)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "env", "dirname", "uname", "cat", "sha256sum", "cut", "mkdir", "awk"):
        found = shutil.which(tool)
        assert found
        (tools / tool).symlink_to(found)
    done = run(clone / script.relative_to(REPOSITORY), env={"HOME": str(tmp_path / "nobody"), "PATH": str(tools)})
    assert done.returncode == EXIT_MISSING, done.stderr
    assert f"{name}: '{tool_it_wants}' is not installed" in done.stderr
    assert source in done.stderr


@pytest.mark.parametrize(("name", "script"), SCRIPTS)
def test_help_and_wrong_options(name: str, script: Path) -> None:
    """`--help` says what is built and where to; an unknown option is refused with the same text."""
    told = run(script, "--help")
    assert told.returncode == 0
    assert f".build/bin/{name}" in told.stdout
    refused = run(script, "--fast")
    assert refused.returncode == 2
    assert refused.stderr == told.stdout


def test_lock_matches_the_manifest() -> None:
    """Every component of builder.yaml is in go.mod, in the same version."""
    manifest = yaml.safe_load((CONFIG / "distribution" / "builder.yaml").read_text())
    lock = (CONFIG / "distribution" / "go.mod").read_text()
    kinds = ("extensions", "receivers", "processors", "connectors", "exporters", "providers")
    modules = [entry["gomod"] for kind in kinds for entry in manifest[kind]]
    assert [module for module in modules if f"\t{module}\n" not in lock] == []
    assert len(modules) > 30
