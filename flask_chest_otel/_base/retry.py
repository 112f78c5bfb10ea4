"""Retries: the pause between two tries, and the HTTP header ``Retry-After`` by which a server asks for one."""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime

__all__ = ["pause_s", "retry_after_s"]


def retry_after_s(header: str | None) -> float | None:
    """Seconds to wait, from a header with seconds or a date (RFC 9110, section 10.2.3); ``None`` for other texts."""
    text = (header or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def pause_s(
    failures: int, asked_for_s: float | None, *, first_s: float, longest_s: float, longest_asked_s: float
) -> float:
    """How long to wait before the next try, seconds: exponential back-off, or what the server asks for.

    Jitter keeps processes that failed together from coming back together.

    Args:
        failures: How many tries have failed in a row, from 1.
        asked_for_s: The pause that the server asked for, seconds; ``None`` where it asked for none. The result is never
            shorter, up to ``longest_asked_s``.
        first_s: The longest pause after the first failure, seconds; it doubles after each further failure.
        longest_s: Upper bound of that pause, seconds.
        longest_asked_s: Upper bound of the pause that a server may ask for, seconds.
    """
    if asked_for_s is not None:
        return min(asked_for_s, longest_asked_s) + random.uniform(0.0, 0.1 * first_s)  # noqa: S311 - no secret
    return min(first_s * 2.0 ** min(failures - 1, 60), longest_s) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
