"""OpenTelemetry's own environment variables, and slips in their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import environment_variables as of_api
from opentelemetry.instrumentation import environment_variables as of_instrumentation
from opentelemetry.sdk import environment_variables as of_sdk

from flask_chest_otel.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["misspelt"]

LIKE_A_SLIP = 0.92
"""How alike a slip is to what was meant. What only an instrumentation reads is less alike to every name of the SDK."""

_KNOWN = [name for module in (of_api, of_sdk, of_instrumentation) for name in vars(module) if name.startswith("OTEL_")]


def misspelt(environ: Mapping[str, str]) -> list[str]:
    """A sentence on each variable that nobody reads, with the one that differs in a letter or two."""
    unknown = sorted(name for name in environ if name.startswith("OTEL_") and name not in _KNOWN)
    meant = {name: nearest(name, _KNOWN, LIKE_A_SLIP) for name in unknown}
    return [
        f"the environment variable {name} says nothing to OpenTelemetry: type {right}"
        for name, right in meant.items()
        if right is not None
    ]
