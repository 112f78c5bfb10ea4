"""The id generator for ``OTEL_PYTHON_ID_GENERATOR=flask_chest``."""

from flask_chest_otel._request.trace_id import ChestIdGenerator

__all__ = ["ChestIdGenerator"]
