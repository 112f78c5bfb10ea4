"""OpenTelemetry for Flask: variables of ``flask.g`` become span attributes and metrics; the request id, the trace id.

    from flask import Flask, g
    from flask_chest_otel import FlaskChest, flask_chest

    app = Flask(__name__)
    chest = FlaskChest(app, tracked_vars=["user_id"])

    @app.route("/cart")
    @flask_chest("cart_total")
    def cart():
        g.user_id, g.cart_total = "u1", 42.5
        return "thank you"

Then ``flask chest requests`` shows the last requests, ``flask chest doctor`` what is set up, and ``flask chest --help``
the rest. ``help(FlaskChest)`` lists all options, ``help(TrackedVar)`` what a variable can be, and ``help(SLO)`` what an
objective.

Direct chests (``SQLChest``, ``MongoChest``, ``WebhookChest``) are in ``flask_chest_otel.chests``, the test kit in
``flask_chest_otel.testing``, hooks for gunicorn and uWSGI in ``flask_chest_otel.servers``, and what puts the request
id on the lines of structlog, loguru and other people's handlers in ``flask_chest_otel.logs``.
"""

# Names are loaded when they are first used. Every run of pytest and of the `flask` command imports this package for its
# entry points, and must not spend the time to import an SDK.

import os
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

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
        WrongCallError,
    )
    from flask_chest_otel.extension import FlaskChest
    from flask_chest_otel.id_generator import ChestIdGenerator
    from flask_chest_otel.instrumentor import FlaskChestInstrumentor
    from flask_chest_otel.slo import SLO
    from flask_chest_otel.tracked import TrackedVar

__all__ = [
    "SLO",
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
    "WrongCallError",
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
    "SLO": "slo",
    "TrackedVar": "tracked",
    "UnknownArgumentError": "errors",
    "UnknownChestError": "errors",
    "WrongCallError": "errors",
    "__version__": "_version",
    "count_failures": "decorator",
    "count_requests": "decorator",
    "current_context": "context",
    "current_request_id": "context",
    "flask_chest": "decorator",
    "trace_id_for": "context",
}


_ELSEWHERE = {
    "MongoChest": "chests",
    "RequestFields": "logs",
    "SQLChest": "chests",
    "WebhookChest": "chests",
    "capture": "testing",
    "gunicorn_post_worker_init": "servers",
    "gunicorn_worker_exit": "servers",
    "loguru_patcher": "logs",
    "structlog_processor": "logs",
    "uwsgi_setup": "servers",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module (PEP 562)."""
    if name in _ELSEWHERE:
        # Not an AttributeError: an import statement would replace its message.
        raise ImportError(f"type: from {__name__}.{_ELSEWHERE[name]} import {name}", name=name)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return found


def __dir__() -> list[str]:
    """List public names, also those that are not loaded yet."""
    return sorted({*globals(), *__all__})


def _import_despite(variable: str, module: str) -> None:
    """Import a module of OpenTelemetry as if a variable were not set, because its import fails with the value."""
    with suppress(ImportError):
        import_module(f"{__name__}._base.unusable").import_without(variable, module)


# Most of this package could not be imported else. What builds a tracer provider says which value is wrong.
if not (os.environ.get("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "").strip() or "0").isdecimal():
    _import_despite("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "opentelemetry.sdk.trace")
if not os.environ.get("OTEL_PROPAGATORS", "default").strip():
    _import_despite("OTEL_PROPAGATORS", "opentelemetry.propagate")
