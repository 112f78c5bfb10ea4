"""The doors: every make target explains itself, and CI's script is one that bash can read."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_help_has_a_sentence_for_every_target() -> None:
    """`make help` lists what `.PHONY` declares, each with a sentence."""
    phony = re.search(r"^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony is not None
    shown = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    sentences = dict(re.findall(r"^  make (\S+) +(.+)$", shown, re.MULTILINE))
    assert set(sentences) == set(phony[1].split())
    assert all(re.fullmatch(r"[A-Z].*\.", sentence) for sentence in sentences.values())


def test_the_ci_script_is_readable_and_strict() -> None:
    """It parses, stops at the first error, and lets no test be skipped."""
    script = REPOSITORY / ".ci" / "run"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text("utf-8")
    assert "set -euo pipefail" in text
    assert "REQUIRE_REAL=1 make test" in text
    assert script.stat().st_mode & 0o111
