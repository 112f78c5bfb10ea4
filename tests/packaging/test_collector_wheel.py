"""The collector as a package: the wheel for this machine is installed and run, those for others are looked at."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.backends import jsonl
from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import REPOSITORY, missing, require_built, require_installed
from tests.backends.server import free_port
from tests.backends.traffic import eventually
from tests.packaging.environments import outside, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WHEELS = REPOSITORY / "packaging" / "collector" / "wheels.py"
HERE = "linux/amd64"
PORTS = ("CHEST_OTLP_HTTP", "CHEST_OTLP_GRPC", "CHEST_HEALTH", "CHEST_METRICS", "CHEST_FILE_GATE", "CHEST_FILE_QUEUE")

READER = """
package main

import (
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"fmt"
	"os"
)

func main() {
	path := os.Args[1]
	if file, err := elf.Open(path); err == nil {
		fmt.Println("linux", file.Machine)
	} else if file, err := macho.Open(path); err == nil {
		fmt.Println("darwin", file.Cpu)
	} else if file, err := pe.Open(path); err == nil {
		fmt.Printf("windows %#x\\n", file.Machine)
	}
}
"""
"""Go's own readers of programs."""

READ = {
    "linux/amd64": "linux EM_X86_64",
    "linux/arm64": "linux EM_AARCH64",
    "darwin/arm64": "darwin CpuArm64",
    "darwin/amd64": "darwin CpuAmd64",
    "windows/amd64": "windows 0x8664",
}


def make(folder: Path) -> Path:
    """The wheel for this machine, from the program that is built here."""
    command = [sys.executable, str(WHEELS), HERE, "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def collector_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if (sys.platform, os.uname().machine) != ("linux", "x86_64"):
        missing("the wheel that is tried is for Linux on x86_64")
    require_built("flask-chest-collector")
    require_installed("go", "golang")
    return make(tmp_path_factory.mktemp("collector-wheel"))


@pytest.fixture(scope="module")
def commands(collector_wheel: Path, python: Path) -> Path:
    """The folder of an environment's commands, where the extra has brought the collector."""
    places = ["--no-index", "--find-links", str(collector_wheel.parent)]
    run(python, python.parent, "-m", "pip", "install", "--quiet", *places, "flask-chest-otel[collector]")
    return python.parent


@pytest.fixture
def alone(tmp_path: Path) -> dict[str, str]:
    """An environment without any other collector on PATH, and ports and folders of its own."""
    ports = {f"{name}_PORT": str(free_port()) for name in PORTS}
    folders = {"CHEST_QUEUE_DIR": str(tmp_path / "queue"), "CHEST_FILE_PATH": str(tmp_path / "telemetry.jsonl")}
    return {**outside(), **ports, **folders, "PATH": ".:/usr/bin:/bin"}


def test_two_builds_are_the_same_bytes(collector_wheel: Path, tmp_path: Path) -> None:
    """Nothing of the time or the place is in a wheel."""
    assert make(tmp_path).read_bytes() == collector_wheel.read_bytes()


def test_the_wheel_says_what_is_inside(collector_wheel: Path) -> None:
    """Below an index's limit; the version, the components, and the licence of every module that is linked in."""
    assert collector_wheel.stat().st_size < 100_000_000
    with zipfile.ZipFile(collector_wheel) as archive:
        files = {name.rpartition("dist-info/")[2]: name for name in archive.namelist()}
        metadata = archive.read(files["METADATA"]).decode()
        licences = archive.read(files["licenses/THIRD-PARTY.txt"]).decode()
        mode = archive.getinfo("flask_chest_collector/flask-chest-collector").external_attr >> 16
    assert mode & 0o777 == 0o755
    assert "Summary: OpenTelemetry Collector 0.158.0 with the targets" in metadata
    assert "exporter/influxdbexporter` | 0.150.0 |" in metadata.replace("v0.150", "0.150")
    assert "MPL-2.0" in metadata
    program = REPOSITORY / ".build" / "bin" / "flask-chest-collector"
    said = subprocess.run(["go", "version", "-m", str(program)], capture_output=True, text=True, check=True).stdout
    linked = {line.split()[1] for line in said.splitlines() if line.split()[:1] in (["dep"], ["=>"])}
    assert len(linked) > 300
    assert {name for name in linked if f"{name} v" not in licences} == set()


def test_the_console_script_is_the_program(commands: Path, tmp_path: Path) -> None:
    """Its output and its status are the collector's own."""
    script = str(commands / "flask-chest-collector")
    said = subprocess.run(
        [script, "--version"], cwd=tmp_path, env=outside(), capture_output=True, text=True, check=True
    )
    assert said.stdout == "flask-chest-collector version 0.1.0\n"
    done = subprocess.run([script, "--config", "nowhere.yaml"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 1


def test_run_finds_the_installed_one(commands: Path, alone: Mapping[str, str], tmp_path: Path) -> None:
    """`flask chest collector run` starts it, takes spans and stops; what lies where one stands is not run."""
    for decoy in ("flask-chest-collector", "flask_chest_collector/flask-chest-collector", ".build/bin/otelcol-contrib"):
        path = tmp_path / decoy
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\necho decoy; exit 77\n")
        path.chmod(0o755)
    (tmp_path / "flask_chest_collector" / "__init__.py").write_text("raise SystemExit(78)\n")
    command = [str(commands / "flask"), "chest", "collector", "run", "--target", "file"]
    log = tmp_path / "log"
    with log.open("w") as file, subprocess.Popen(command, cwd=tmp_path, env=alone, stderr=file) as process:
        try:
            eventually(lambda: process.poll() is not None or "Everything is ready" in log.read_text(), expected=True)
            assert process.poll() is None, log.read_text()
            program = Path(f"/proc/{process.pid}/exe").readlink()
            assert post(f"http://127.0.0.1:{alone['CHEST_OTLP_HTTP_PORT']}", "traces", trace_request(2)) == 200
            eventually(lambda: len(jsonl.spans(tmp_path / "telemetry.jsonl")), 2)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert program.parts[-3:] == ("site-packages", "flask_chest_collector", "flask-chest-collector")
    assert program.is_relative_to(commands.parent)


@pytest.mark.parametrize("target", ["linux/arm64", "darwin/arm64", "darwin/amd64", "windows/amd64"])
def test_headers_of_other_machines(target: str, tmp_path: Path) -> None:
    """A tiny program that Go has made for each kind is taken for that; macOS is the one that the wheels' tags name."""
    require_installed("go", "golang")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() {}\n")
    system, _, machine = target.partition("/")
    env = {**os.environ, "GOOS": system, "GOARCH": machine, "CGO_ENABLED": "0"}
    subprocess.run(["go", "build", "-o", "program", "main.go"], cwd=tmp_path, env=env, check=True)
    headers = runpy.run_path(str(WHEELS.with_name("headers.py")))
    assert headers["kind_of"](tmp_path / "program") == target
    if system == "darwin":
        assert headers["least_macos"](tmp_path / "program") <= (12, 0)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that says what another is for, with the readers of Go's library."""
    require_installed("go", "golang")
    folder = tmp_path_factory.mktemp("reader")
    (folder / "main.go").write_text(READER)
    subprocess.run(["go", "build", "-o", "reader", "main.go"], cwd=folder, check=True)
    return folder / "reader"


def test_headers_as_another_reader_has_them(reader: Path) -> None:
    """What Go's own readers say of every program that is built is what its wheel's tag is chosen by."""
    require_built("flask-chest-collector")
    headers = runpy.run_path(str(WHEELS.with_name("headers.py")))
    for path in (REPOSITORY / ".build" / "bin" / "flask-chest-collector", *others()):
        said = subprocess.run([str(reader), str(path)], capture_output=True, text=True, check=True).stdout
        assert said.strip() == READ[headers["kind_of"](path)], path


def others() -> Iterator[Path]:
    """Programs for other machines, where `make wheels` has built them."""
    return (REPOSITORY / ".build" / "bin").glob("flask-chest-collector-*-*64")


def test_headers_are_read() -> None:
    """What a program is for is read from its first bytes; this machine's is static, what needs a loader is refused."""
    require_built("flask-chest-collector")
    kind_of = runpy.run_path(str(WHEELS.with_name("headers.py")))["kind_of"]
    assert kind_of(REPOSITORY / ".build" / "bin" / "flask-chest-collector") == HERE
    for path in others():
        assert path.name == f"flask-chest-collector-{kind_of(path).replace('/', '-')}"
    with pytest.raises(ValueError, match="shared libraries"):
        kind_of(Path(sys.executable).resolve())
    with pytest.raises(ValueError, match="no program"):
        kind_of(Path(__file__))
