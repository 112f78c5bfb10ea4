"""Which URLs are left alone altogether."""

from __future__ import annotations

import os
import re

__all__ = ["VARIABLES", "compile_patterns"]

VARIABLES = (
    "OTEL_PYTHON_FLASK_CHEST_EXCLUDED_URLS",
    "OTEL_PYTHON_FLASK_EXCLUDED_URLS",
    "OTEL_PYTHON_EXCLUDED_URLS",
)
"""Where patterns stand when no setting gives any: the first variable that is set counts, as upstream has it."""


def compile_patterns(patterns: tuple[str, ...] | None) -> re.Pattern[str] | None:
    """One expression for all patterns, or ``None``; searched for in the whole URL."""
    chosen = _from_environment() if patterns is None else patterns
    return re.compile("|".join(f"(?:{pattern})" for pattern in chosen)) if chosen else None


def _from_environment() -> tuple[str, ...]:
    for variable in VARIABLES:
        if variable in os.environ:
            return tuple(part.strip() for part in os.environ[variable].split(",") if part.strip())
    return ()
