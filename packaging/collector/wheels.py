"""Make the wheels of `flask-chest-collector`: ``python packaging/collector/wheels.py --help``.

A wheel holds the program that `collector-config/distribution/build.sh` builds for one kind of machine, what starts it,
and the licences of what is inside. The same program gives the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import re
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from headers import kind_of, least_macos
from licences import Licences, licences_of

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
DISTRIBUTION = REPOSITORY / "collector-config" / "distribution"
PACKAGE, PROGRAM = "flask_chest_collector", "flask-chest-collector"

TAGS = {
    # Static: any C library will do. Go asks for a kernel that glibc 2.17 has, and for macOS 12.
    "linux/amd64": "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    "linux/arm64": "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    "darwin/arm64": "macosx_12_0_arm64",
    "darwin/amd64": "macosx_12_0_x86_64",
    "windows/amd64": "win_amd64",
}

LARGEST = 100_000_000
"""Bytes: what an index takes."""

EPOCH = 1580601600
"""The time of every file, unless SOURCE_DATE_EPOCH says another: 2020-02-02, as in the other wheel of this project."""


@dataclass(frozen=True)
class Entry:
    """A file of a wheel."""

    name: str
    data: bytes
    mode: int = 0o644


def main() -> int:
    """Make the wheels that are asked for, all when none is named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("targets", nargs="*", metavar="SYSTEM/MACHINE", help=", ".join(TAGS))
    parser.add_argument("--out", type=Path, default=REPOSITORY / "dist", help="the folder for them (dist)")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(TAGS):
        parser.error(f"no such target: {', '.join(unknown)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for target in arguments.targets or TAGS:
        print(wheel(target, program_for(target), arguments.out))
    return 0


def program_for(target: str) -> Path:
    """The program for a kind of machine, built if need be."""
    subprocess.run([str(DISTRIBUTION / "build.sh"), "--for", target], check=True)
    folder = REPOSITORY / ".build" / "bin"
    other = folder / f"{PROGRAM}-{target.replace('/', '-')}"
    found = other if other.exists() else folder / PROGRAM
    if kind_of(found) != target:
        raise ValueError(f"{found} is a program for {kind_of(found)}, and not for {target}")
    if target.startswith("darwin/") and f"macosx_{'_'.join(map(str, least_macos(found)))}_" not in TAGS[target]:
        raise ValueError(f"{found} asks for macOS {least_macos(found)}, and its tag is {TAGS[target]}")
    return found


def wheel(target: str, program: Path, folder: Path) -> Path:
    """Write one wheel and return its path."""
    path = folder / f"{PACKAGE}-{version()}-py3-none-{TAGS[target]}.whl"
    entries = [*_package(program, target), *_about(target, licences_of(program))]
    info = f"{PACKAGE}-{version()}.dist-info"
    record = "".join(f"{one.name},sha256={_digest(one.data)},{len(one.data)}\n" for one in entries)
    entries.append(Entry(f"{info}/RECORD", f"{record}{info}/RECORD,,\n".encode()))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for one in entries:
            archive.writestr(_zip_info(one), one.data)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, more than {LARGEST}")
    return path


def version() -> str:
    """The version of the program, as it says itself."""
    return _in_manifest(r"^  version: (\S+)$")


def _in_manifest(pattern: str) -> str:
    found = re.search(pattern, (DISTRIBUTION / "builder.yaml").read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"builder.yaml has no {pattern}")
    return found[1]


def _package(program: Path, target: str) -> list[Entry]:
    """The Python package, with the program in it."""
    sources = [Entry(f"{PACKAGE}/{one.name}", one.read_bytes()) for one in sorted((HERE / PACKAGE).glob("*.py"))]
    name = f"{PROGRAM}.exe" if target.startswith("windows/") else PROGRAM
    return [*sources, Entry(f"{PACKAGE}/{name}", program.read_bytes(), 0o755)]


def _about(target: str, licences: Licences) -> list[Entry]:
    """What describes the wheel."""
    tags = "".join(f"Tag: py3-none-{tag}\n" for tag in TAGS[target].split("."))
    texts = {
        "METADATA": _metadata(licences.expression),
        "WHEEL": f"Wheel-Version: 1.0\nGenerator: {PROGRAM}\nRoot-Is-Purelib: false\n{tags}",
        "entry_points.txt": f"[console_scripts]\n{PROGRAM} = {PACKAGE}:main\n",
        "licenses/LICENSE": (REPOSITORY / "LICENSE").read_text("utf-8"),
        "licenses/THIRD-PARTY.txt": licences.text,
    }
    return [Entry(f"{PACKAGE}-{version()}.dist-info/{name}", text.encode()) for name, text in texts.items()]


def _metadata(licence: str) -> str:
    core = _in_manifest(r"go\.opentelemetry\.io/collector/receiver/otlpreceiver v(\S+)$")
    return f"""\
Metadata-Version: 2.4
Name: {PROGRAM}
Version: {version()}
Summary: OpenTelemetry Collector {core} with the targets of flask-chest-otel
Author: The flask_chest_otel authors
License-Expression: {licence}
License-File: LICENSE
License-File: THIRD-PARTY.txt
Keywords: opentelemetry,otel,collector,observability
Classifier: Development Status :: 4 - Beta
Classifier: Topic :: System :: Monitoring
Requires-Python: >=3.10
Description-Content-Type: text/markdown

{(HERE / "README.md").read_text("utf-8")}
## What is inside

| module | version |
|---|---|
{_components()}"""


def _components() -> str:
    """The components as rows of a table."""
    found = re.findall(r"^  - gomod: (\S+) (\S+)$", (DISTRIBUTION / "builder.yaml").read_text("utf-8"), re.MULTILINE)
    return "".join(f"| `{name}` | {release} |\n" for name, release in found)


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _zip_info(entry: Entry) -> zipfile.ZipInfo:
    when = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", EPOCH)))
    info = zipfile.ZipInfo(entry.name, when[:6])
    info.external_attr = (0o100000 | entry.mode) << 16
    info.create_system = 3  # Unix, also when it is made elsewhere
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


if __name__ == "__main__":
    sys.exit(main())
