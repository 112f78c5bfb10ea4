"""Reads the environment variables whose wrong values the SDK would not take: it raises, and nothing is exported at all.

Here a wrong value is reported, and the default is used: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter, TraceBasedExemplarFilter
from opentelemetry.sdk.trace import SpanLimits

from flask_chest_otel._guard import Refusal, count_refusal
from flask_chest_otel._otlp.variables import chosen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.metrics import ExemplarFilter

__all__ = ["exemplar_filter", "sdk_exemplar_filter", "span_limits"]

_FILTER = "OTEL_METRICS_EXEMPLAR_FILTER"
_FILTERS: dict[str, type[ExemplarFilter]] = {
    "trace_based": TraceBasedExemplarFilter,
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
}

_LIMITS = {
    "OTEL_ATTRIBUTE_COUNT_LIMIT": ("max_attributes", 128),
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": ("max_attribute_length", SpanLimits.UNSET),
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": ("max_span_attributes", 128),
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": ("max_span_attribute_length", SpanLimits.UNSET),
    "OTEL_SPAN_EVENT_COUNT_LIMIT": ("max_events", 128),
    "OTEL_SPAN_LINK_COUNT_LIMIT": ("max_links", 128),
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT": ("max_event_attributes", 128),
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": ("max_link_attributes", 128),
}
"""Variable to the argument of ``SpanLimits`` and the default."""


def exemplar_filter(environ: Mapping[str, str]) -> str:
    """Return ``trace_based``, ``always_on`` or ``always_off``: which measurements may become exemplars."""
    return chosen(environ, _FILTER, tuple(_FILTERS))


def sdk_exemplar_filter(environ: Mapping[str, str]) -> ExemplarFilter:
    """Return the SDK's object of that name."""
    return _FILTERS[exemplar_filter(environ)]()


def span_limits(environ: Mapping[str, str]) -> SpanLimits:
    """Return the limits that the SDK reads; the default for each that it could not use."""
    defaults = {
        argument: default for name, (argument, default) in _LIMITS.items() if not _is_limit(name, environ.get(name, ""))
    }
    return SpanLimits(**defaults)


def _is_limit(variable: str, text: str) -> bool:
    if not text.strip():  # the SDK has no limit then
        return True
    try:
        usable = int(text) >= 0
    except ValueError:
        usable = False
    if not usable:
        count_refusal(Refusal.SETTING, variable, "%s=%r is no whole number from 0: the default is used", variable, text)
    return usable
