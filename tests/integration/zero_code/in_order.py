"""Serves the plain application with the two instrumentors applied in the order of the first argument."""

import sys

from opentelemetry.instrumentation.auto_instrumentation import _load
from opentelemetry.instrumentation.flask import FlaskInstrumentor

from flask_chest_otel import FlaskChestInstrumentor

# What opentelemetry-instrument does, without its order of instrumentors.
_load._load_distro().configure()  # noqa: SLF001 - no public name does it
_load._load_configurators()  # type: ignore[no-untyped-call]  # noqa: SLF001 - no public name does it
for name in sys.argv[1].split(","):
    instrumentor = FlaskInstrumentor() if name == "flask" else FlaskChestInstrumentor()
    instrumentor.instrument()

import plain_app  # type: ignore[import-not-found]  # noqa: E402 - on this script's path, and made after instrument()

plain_app.app.run(port=int(sys.argv[2]))
