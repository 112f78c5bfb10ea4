"""OpenTelemetry's own environment variables: those with a choice of values, and typing errors in their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import environment_variables as of_api
from opentelemetry.instrumentation import environment_variables as of_instrumentation
from opentelemetry.sdk import environment_variables as of_sdk

from flask_chest_otel._guard import Refusal, count_refusal
from flask_chest_otel.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["chosen", "misspelt"]

MIN_SIMILARITY = 0.92
"""Similarity, from 0 to 1, above which an unknown name is a typing error of a known one.

Names of variables that only an instrumentation reads are less similar to every known name.
"""

_KNOWN = [name for module in (of_api, of_sdk, of_instrumentation) for name in vars(module) if name.startswith("OTEL_")]


def misspelt(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each unknown variable that differs from a known one in a letter or two."""
    unknown = sorted(name for name in environ if name.startswith("OTEL_") and name not in _KNOWN)
    meant = {name: nearest(name, _KNOWN, MIN_SIMILARITY) for name in unknown}
    return [
        f"the environment variable {name} says nothing to OpenTelemetry: type {right}"
        for name, right in meant.items()
        if right is not None
    ]


def chosen(environ: Mapping[str, str], variable: str, allowed: Sequence[str]) -> str:
    """Return the value of a variable in lower case.

    Args:
        environ: The environment variables.
        variable: Its name.
        allowed: Its possible values. The first is the default; it is used for any other value, which is reported.
    """
    text = environ.get(variable, "").strip()
    if not text or text.lower() in allowed:
        return text.lower() or allowed[0]
    sentence = "%s=%r is not known: %s is used; type one of: %s"
    count_refusal(Refusal.SETTING, variable, sentence, variable, text, allowed[0], ", ".join(allowed))
    return allowed[0]
