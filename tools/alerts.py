"""The objects of Prometheus' operator, made of the rule files in ``collector-config/alerts``."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

__all__ = ["FOLDER", "files"]

FOLDER = Path(__file__).resolve().parents[1] / "collector-config" / "alerts"

_RULE = """# Made by `make docs` from ../{source}; do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: {name}
spec:
"""


def files() -> dict[Path, str]:
    """Path to what should stand there: one ``PrometheusRule`` for each rule file."""
    return {
        FOLDER / "kubernetes" / f"{_name(path)}.yaml": _object(path) for path in sorted(FOLDER.glob("*.rules.yaml"))
    }


def _object(path: Path) -> str:
    rules = path.read_text(encoding="utf-8")
    return _RULE.format(source=path.name, name=_name(path)) + indent(rules[rules.index("groups:") :], "  ")


def _name(path: Path) -> str:
    return path.name.removesuffix(".rules.yaml")
