"""Excluded URLs: their requests are not recorded at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask_chest_otel.config.patterns import joined, usable_in

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable

    from werkzeug.wrappers import Request

__all__ = ["VARIABLES", "ExcludedUrls", "for_upstream"]

VARIABLES = (
    "OTEL_PYTHON_FLASK_CHEST_EXCLUDED_URLS",
    "OTEL_PYTHON_FLASK_EXCLUDED_URLS",
    "OTEL_PYTHON_EXCLUDED_URLS",
)
"""Environment variables with patterns, used where the setting is not given; the first that is set counts.

OpenTelemetry's Flask instrumentation reads the same variables in the same order.
"""

_SCHEME_END = "://"


class ExcludedUrls:
    """Patterns that are matched with the path; a pattern with a scheme is matched with the URL before its query.

    The query is never matched, and the host only where a pattern names it: clients choose both, and could otherwise
    hide any request from being recorded.
    """

    __slots__ = ("_of_path", "_of_url")

    def __init__(self, patterns: Iterable[str]) -> None:
        patterns = tuple(patterns)
        self._of_path = joined(pattern for pattern in patterns if _SCHEME_END not in pattern)
        self._of_url = joined(pattern for pattern in patterns if _SCHEME_END in pattern)

    @classmethod
    def of(cls, patterns: tuple[str, ...] | None) -> ExcludedUrls | None:
        """The patterns of the setting, else of the first environment variable that is set; ``None``: no patterns."""
        if patterns is None:
            variable = next((name for name in VARIABLES if name in os.environ), None)
            patterns = usable_in(os.environ, variable) if variable is not None else ()
        return cls(patterns) if patterns else None

    def covers(self, http: Request) -> re.Match[str] | None:
        """The match where a request is excluded, else ``None``."""
        # The path includes the root at which the application is mounted.
        path = http.root_path + http.path
        found = self._of_path.search(path) if self._of_path is not None else None
        if found is None and self._of_url is not None:
            host = http.environ.get("HTTP_HOST") or http.environ.get("SERVER_NAME", "")
            found = self._of_url.search(f"{http.scheme}{_SCHEME_END}{host}{path}")
        return found


def for_upstream(patterns: tuple[str, ...]) -> str:
    """The same patterns for OpenTelemetry's Flask instrumentation, which matches them with the whole URL."""
    return ",".join(
        f"^(?=[^?]*?(?:{pattern}))" if _SCHEME_END in pattern else f"^[^/]*//[^/?]*(?=/)[^?]*?(?:{pattern})"
        for pattern in patterns
    )
