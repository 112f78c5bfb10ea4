"""Reads the environment variables whose wrong values the SDK would not take: it raises, and nothing is exported at all.

Here a wrong value is reported, and the default is used, as for an empty one:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter, TraceBasedExemplarFilter
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.sampling import DEFAULT_ON

from flask_chest_otel._otlp.batching import whole_number
from flask_chest_otel._otlp.variables import chosen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.metrics import ExemplarFilter
    from opentelemetry.sdk.trace.sampling import Sampler

__all__ = ["batch_options", "exemplar_filter", "sampler", "sdk_exemplar_filter", "span_limits"]

_FILTER = "OTEL_METRICS_EXEMPLAR_FILTER"
_FILTERS: dict[str, type[ExemplarFilter]] = {
    "trace_based": TraceBasedExemplarFilter,
    "always_on": AlwaysOnExemplarFilter,
    "always_off": AlwaysOffExemplarFilter,
}

_SAMPLER = "OTEL_TRACES_SAMPLER"

_MOST = 128
"""The specification's default for attributes of a span, an event or a link, and for events and links of a span."""


def exemplar_filter(environ: Mapping[str, str]) -> str:
    """Return ``trace_based``, ``always_on`` or ``always_off``: which measurements may become exemplars."""
    return chosen(environ, _FILTER, tuple(_FILTERS))


def sdk_exemplar_filter(environ: Mapping[str, str]) -> ExemplarFilter:
    """Return the SDK's object of that name."""
    return _FILTERS[exemplar_filter(environ)]()


def span_limits(environ: Mapping[str, str]) -> SpanLimits:
    """Return the limits of spans; none reads a variable again."""

    def limit(name: str, default: int) -> int:
        found = whole_number(environ, f"OTEL_{name}_LIMIT")
        return default if found is None else found

    attributes = limit("ATTRIBUTE_COUNT", _MOST)
    length = limit("ATTRIBUTE_VALUE_LENGTH", SpanLimits.UNSET)
    return SpanLimits(
        max_attributes=attributes,
        max_events=limit("SPAN_EVENT_COUNT", _MOST),
        max_links=limit("SPAN_LINK_COUNT", _MOST),
        max_span_attributes=limit("SPAN_ATTRIBUTE_COUNT", attributes),
        max_event_attributes=limit("EVENT_ATTRIBUTE_COUNT", attributes),
        max_link_attributes=limit("LINK_ATTRIBUTE_COUNT", attributes),
        max_attribute_length=length,
        max_span_attribute_length=limit("SPAN_ATTRIBUTE_VALUE_LENGTH", length),
    )


def sampler(environ: Mapping[str, str]) -> Sampler | None:
    """Return the default sampler; ``None``: a variable names one, which the SDK finds."""
    return None if environ.get(_SAMPLER, "").strip() else DEFAULT_ON


def batch_options(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of the SDK's batch processor; the SDK takes no batch that is larger than the queue."""

    def option(name: str, default: int) -> int:
        return whole_number(environ, f"OTEL_BSP_{name}", positive=True) or default

    queue = option("MAX_QUEUE_SIZE", 2048)
    return {
        "max_queue_size": queue,
        "schedule_delay_millis": option("SCHEDULE_DELAY", 5000),
        "max_export_batch_size": min(option("MAX_EXPORT_BATCH_SIZE", 512), queue),
        "export_timeout_millis": option("EXPORT_TIMEOUT", 30_000),
    }
