"""Which URLs are left alone altogether."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask_chest_otel.config.patterns import from_variable, joined

if TYPE_CHECKING:
    import re

    from werkzeug.wrappers import Request

__all__ = ["VARIABLES", "compile_patterns", "for_upstream", "path_of"]

VARIABLES = (
    "OTEL_PYTHON_FLASK_CHEST_EXCLUDED_URLS",
    "OTEL_PYTHON_FLASK_EXCLUDED_URLS",
    "OTEL_PYTHON_EXCLUDED_URLS",
)
"""Where patterns stand when no setting gives any: the first variable that is set counts, as upstream has it."""


def compile_patterns(patterns: tuple[str, ...] | None) -> re.Pattern[str] | None:
    """One expression for all patterns, or ``None``; searched for in the path."""
    if patterns is not None:
        return joined(patterns)
    variable = next((name for name in VARIABLES if name in os.environ), None)
    return from_variable(os.environ, variable) if variable is not None else None


def path_of(http: Request) -> str:
    """The path of a request, with the root that the application is mounted at.

    The path alone: with a host or a query that contains a match, a client would hide any request.
    """
    return http.root_path + http.path


def for_upstream(patterns: tuple[str, ...]) -> str:
    """The same patterns for upstream's instrumentation, which searches in the whole URL."""
    return ",".join(f"^[^/]*//[^/?]*[^?]*?(?:{pattern})" for pattern in patterns)
