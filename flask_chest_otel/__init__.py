"""OpenTelemetry for ``flask.g``: named variables become span attributes and metrics; the request id, the trace id.

Names are loaded when they are first used: the entry points for pytest and the ``flask`` command live in this package
and are imported by every run of those, which should not pay for an SDK.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask_chest_otel._version import __version__
    from flask_chest_otel.context import current_context, current_request_id, trace_id_for
    from flask_chest_otel.decorator import count_failures, count_requests, flask_chest
    from flask_chest_otel.errors import (
        ChestConfigError,
        ChestError,
        ChestSetupError,
        ChestValueError,
        UnknownArgumentError,
        UnknownChestError,
    )
    from flask_chest_otel.extension import FlaskChest
    from flask_chest_otel.id_generator import ChestIdGenerator
    from flask_chest_otel.instrumentor import FlaskChestInstrumentor
    from flask_chest_otel.tracked import TrackedVar

__all__ = [
    "ChestConfigError",
    "ChestError",
    "ChestIdGenerator",
    "ChestSetupError",
    "ChestValueError",
    "FlaskChest",
    "FlaskChestInstrumentor",
    "TrackedVar",
    "UnknownArgumentError",
    "UnknownChestError",
    "__version__",
    "count_failures",
    "count_requests",
    "current_context",
    "current_request_id",
    "flask_chest",
    "trace_id_for",
]

_HOMES = {
    "ChestConfigError": "errors",
    "ChestError": "errors",
    "ChestIdGenerator": "id_generator",
    "ChestSetupError": "errors",
    "ChestValueError": "errors",
    "FlaskChest": "extension",
    "FlaskChestInstrumentor": "instrumentor",
    "TrackedVar": "tracked",
    "UnknownArgumentError": "errors",
    "UnknownChestError": "errors",
    "__version__": "_version",
    "count_failures": "decorator",
    "count_requests": "decorator",
    "current_context": "context",
    "current_request_id": "context",
    "flask_chest": "decorator",
    "trace_id_for": "context",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return found


def __dir__() -> list[str]:
    """Show public names before they are loaded."""
    return sorted({*globals(), *__all__})
