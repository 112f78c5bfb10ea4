"""HTTP methods as values of metric attributes: their number is bounded."""

from __future__ import annotations

import os

from flask_chest_otel.names import EVENT_METHOD, KNOWN_METHODS, OTHER_METHOD

__all__ = ["CAPTURE_ALL", "FIGURED_METHODS", "known_method", "metric_method"]

CAPTURE_ALL = "OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS"
"""Environment variable of OpenTelemetry's instrumentations. With any text in it, unknown methods keep their names."""

FIGURED_METHODS = KNOWN_METHODS | {EVENT_METHOD}
"""What figures are kept by: the methods that HTTP knows, and what records say of an event."""

_MOST_CAPTURED = 50
_captured: set[str] = set()


def known_method(method: str) -> str:
    """The method for stored counts: one of ``FIGURED_METHODS``, ``_OTHER`` for all others."""
    return method if method in FIGURED_METHODS else OTHER_METHOD


def metric_method(method: str) -> str:
    """The method for spans and metrics. The number of different results is bounded, whatever clients send."""
    if method in KNOWN_METHODS or (os.environ.get(CAPTURE_ALL) and _has_place(method)):
        return method
    return OTHER_METHOD


def _has_place(method: str) -> bool:
    """Whether an unknown method is among the first ones that came: clients may invent any number of them."""
    if len(_captured) < _MOST_CAPTURED:
        _captured.add(method)
    return method in _captured
