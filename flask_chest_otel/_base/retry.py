"""Trying again: the pause between two tries, and the HTTP header by which a server asks for one (``Retry-After``)."""

from __future__ import annotations

import random
import time
from email.utils import parsedate_to_datetime

__all__ = ["pause_s", "retry_after_s"]


def retry_after_s(header: str | None) -> float | None:
    """Seconds to wait, from seconds or a date (RFC 9110, section 10.2.3); ``None`` for anything else."""
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
        asked_for_s: What the server asked for, seconds; ``None``: nothing. Not a moment less is waited.
        first_s: The pause after the first failure at most, doubled after each further one, seconds.
        longest_s: Bound of that pause, seconds.
        longest_asked_s: Bound of what a server may ask for, seconds.
    """
    if asked_for_s is not None:
        return min(asked_for_s, longest_asked_s) + random.uniform(0.0, 0.1 * first_s)  # noqa: S311 - no secret
    return min(first_s * 2.0 ** min(failures - 1, 60), longest_s) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
