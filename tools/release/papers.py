"""What comes with a release: bills of materials (CycloneDX) and checksums."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools.release.commands import ABOUT, DIST, REPOSITORY, WORK, CheckError, run
from tools.release.packages import version

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["checksums", "collector_bills", "python_bill"]

GOMOD = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"


def python_bill() -> str:
    """What is installed with the wheel: each package with its version and licence."""
    bill = ABOUT / f"flask_chest_otel-{version()}.cdx.json"
    about = ("--pyproject", REPOSITORY / "pyproject.toml", "--mc-type", "library")
    options = ("--output-reproducible", "--sv", "1.6", "-o", bill)
    run(sys.executable, "-m", "cyclonedx_py", "environment", *about, *options, WORK / "wheel" / "bin" / "python")
    return f"{_checked(bill)} packages: dist/about/{bill.name}"


def collector_bills(targets: list[str]) -> str:
    """What is linked into each program: each Go module with its version and checksum, and Go itself."""
    counts = []
    for target in targets:
        bill = ABOUT / f"flask_chest_collector-{version()}-{target.replace('/', '-')}.cdx.json"
        options = ("-json", "-noserial", "-notimestamp", "-std", "-version", f"v{version()}", "-output", bill)
        _go("run", GOMOD, "bin", *options, _program(target))
        counts.append(_checked(bill))
    modules = " to ".join(map(str, sorted({min(counts), max(counts)})))
    return f"{modules} Go modules; bills in dist/about: {len(counts)}"


def _program(target: str) -> Path:
    folder = REPOSITORY / ".build" / "bin"
    other = folder / f"flask-chest-collector-{target.replace('/', '-')}"
    return other if other.exists() else folder / "flask-chest-collector"


def _go(*arguments: str | Path) -> None:
    """Go as it is set up here: what another program is built with must not change it."""
    words = ["go", *map(str, arguments)]
    done = subprocess.run(words, cwd=WORK, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode:
        raise CheckError(f"{' '.join(words)}: status {done.returncode}\n{done.stderr}")


def _checked(bill: Path) -> int:
    """How many components a bill lists, when it follows CycloneDX's schema."""
    text = bill.read_text("utf-8")
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise CheckError(f"{bill.name} does not follow the schema: {wrong}")
    found = json.loads(text)["components"]
    if not found:
        raise CheckError(f"{bill.name} lists nothing")
    return len(found)


def checksums() -> str:
    """SHA-256 of everything, as `sha256sum --check` reads it in the folder dist."""
    paths = sorted(path for path in DIST.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(DIST)}\n" for path in paths]
    (ABOUT / "SHA256SUMS").write_text("".join(lines), "utf-8")
    run("sha256sum", "--check", "--quiet", "about/SHA256SUMS", folder=DIST)
    return f"{len(lines)} files in dist/about/SHA256SUMS, checked"
