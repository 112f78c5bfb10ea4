"""Chests: where request records go without a collector in between."""

from __future__ import annotations

__all__: list[str] = []
