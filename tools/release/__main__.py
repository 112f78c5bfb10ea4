"""Make what a release consists of, try it, and say how it went: ``make release-check``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import textwrap
import time
from typing import TYPE_CHECKING

from tools.release import packages, papers
from tools.release.commands import REPOSITORY, WORK, CheckError

if TYPE_CHECKING:
    from collections.abc import Callable

TARGETS = ("linux/amd64", "linux/arm64", "darwin/arm64", "darwin/amd64", "windows/amd64")
WIDTH = 80


def steps(targets: list[str]) -> list[tuple[str, Callable[[], str]]]:
    """Each step: what it is called, and what it does."""
    return [
        ("packages", packages.build),
        ("collector", lambda: packages.collector(targets)),
        ("metadata", packages.metadata),
        ("addresses", packages.addresses),
        ("sdist", lambda: packages.installed("flask_chest_otel-*.tar.gz")),
        ("wheel", lambda: packages.installed("flask_chest_otel-*.whl")),
        ("[collector]", packages.installed_collector),
        ("contents", packages.contents),
        ("SBOM, Python", papers.python_bill),
        ("SBOM, Go", lambda: papers.collector_bills(targets)),
        ("checksums", papers.checksums),
    ]


def main() -> int:
    """Go through the steps; what one has found does not stop the others."""
    parser = argparse.ArgumentParser(prog="make release-check", description=main.__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="the collector's machines; all without any")
    targets = parser.parse_args().targets or list(TARGETS)
    WORK.mkdir(parents=True, exist_ok=True)
    rows = [(name, *_done(name, step)) for name, step in steps(targets)]
    print(f"\n{_heading(targets)}\n" + "=" * WIDTH)
    for name, is_well, said in rows:
        print(f"{'ok' if is_well else 'FAILED':8}{name:14}{textwrap.shorten(said, WIDTH - 22, placeholder=' …')}")
    bad = sum(not is_well for _, is_well, _ in rows)
    print("=" * WIDTH + "\n" + (f"{bad} of {len(rows)} steps found something: see above." if bad else _ending(targets)))
    return 1 if bad else 0


def _done(name: str, step: Callable[[], str]) -> tuple[bool, str]:
    print(f"{name} …", flush=True)
    started = time.monotonic()
    try:
        said = step()
    except (CheckError, OSError, subprocess.CalledProcessError) as error:
        print(textwrap.indent(str(error), "  "), flush=True)
        return False, str(error).splitlines()[0]
    print(f"  {said}, {time.monotonic() - started:.0f} s", flush=True)
    return True, said


def _heading(targets: list[str]) -> str:
    git = ("git", "-C", str(REPOSITORY))
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False).stdout
    state = f"commit {commit.strip()}{', changed since' if changed else ''}" if commit else "no repository"
    return f"flask_chest_otel {packages.version()}, {state}; collector: {len(targets)} of {len(TARGETS)}"


def _ending(targets: list[str]) -> str:
    rest = len(TARGETS) - len(targets)
    return f"All is well{f', but {rest} kinds of machines are missing' if rest else ''}. What to publish is in dist/."


if __name__ == "__main__":
    sys.exit(main())
