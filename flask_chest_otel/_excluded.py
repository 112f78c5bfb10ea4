"""Which URLs are left alone altogether."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask_chest_otel._patterns import from_variable, joined

if TYPE_CHECKING:
    import re

    from werkzeug.wrappers import Request

__all__ = ["VARIABLES", "compile_patterns", "url_of"]

VARIABLES = (
    "OTEL_PYTHON_FLASK_CHEST_EXCLUDED_URLS",
    "OTEL_PYTHON_FLASK_EXCLUDED_URLS",
    "OTEL_PYTHON_EXCLUDED_URLS",
)
"""Where patterns stand when no setting gives any: the first variable that is set counts, as upstream has it."""


def compile_patterns(patterns: tuple[str, ...] | None) -> re.Pattern[str] | None:
    """One expression for all patterns, or ``None``; searched for in the whole URL."""
    if patterns is not None:
        return joined(patterns)
    variable = next((name for name in VARIABLES if name in os.environ), None)
    return from_variable(os.environ, variable) if variable is not None else None


def url_of(http: Request) -> str:
    """The URL of a request; its path alone where the client's host is refused (``TRUSTED_HOSTS``) or is none."""
    try:
        return http.url
    except Exception:  # noqa: BLE001 - HTTP and Unicode errors: the answer to them is the application's business
        return http.path
