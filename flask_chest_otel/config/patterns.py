"""Regular expressions from standard environment variables. A malformed one is ignored and logged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask_chest_otel._guard import Refusal, count_refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["from_variable", "joined", "usable_in"]


def from_variable(environ: Mapping[str, str], variable: str, flags: int = 0) -> re.Pattern[str] | None:
    """Compile all valid expressions of a comma-separated variable into one; ``None`` where there is none."""
    return joined(usable_in(environ, variable), flags)


def usable_in(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    """The valid expressions of a comma-separated environment variable; malformed ones are logged."""
    usable = []
    for part in environ.get(variable, "").split(","):
        pattern = part.strip()
        try:
            re.compile(pattern)
        except re.error as error:
            count_refusal(
                Refusal.SETTING, variable, "%s: %r is no regular expression (%s) and left out", variable, pattern, error
            )
            continue
        if pattern:
            usable.append(pattern)
    return tuple(usable)


def joined(patterns: Iterable[str], flags: int = 0) -> re.Pattern[str] | None:
    """One expression for all of them; ``None`` for none."""
    text = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re.compile(text, flags) if text else None
