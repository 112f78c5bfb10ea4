"""HTTP methods as metrics and figures know them."""

from __future__ import annotations

from flask_chest_otel.names import KNOWN_METHODS, OTHER_METHOD

__all__ = ["metric_method"]


def metric_method(method: str) -> str:
    """The method as metrics may carry it: bounded, whatever clients send."""
    return method if method in KNOWN_METHODS else OTHER_METHOD
