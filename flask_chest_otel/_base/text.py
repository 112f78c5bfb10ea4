"""Texts for people."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, one: str, many: str) -> str:
    """A number with its noun in the right form: ``1 batch waits`` or ``3 batches wait``."""
    return f"{count} {one if count == 1 else many}"
