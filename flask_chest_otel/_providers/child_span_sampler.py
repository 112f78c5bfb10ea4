"""Records child spans of requests that are not sampled, for the request record; they are not exported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind

from flask_chest_otel._request.child_spans import collecting_request

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

__all__ = ["ChildSpanSampler", "record_child_spans"]


class ChildSpanSampler(Sampler):
    """Decides like another sampler, but also records child spans that a request record needs.

    The flag "sampled" stays off, so exporters and other services ignore these spans. The SDK's
    ``AlwaysRecordSampler`` (since SDK 1.45) records every span, needed or not.

    Args:
        root: The sampler that decides.

    Attributes:
        records_child_spans: ``True``; marks a provider whose child spans are recorded even if they are not sampled.
    """

    records_child_spans = True

    def __init__(self, root: Sampler) -> None:
        self._root = root

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> SamplingResult:
        """Return the decision of ``root``; ``RECORD_ONLY`` instead of ``DROP`` if a request record needs the span."""
        result = self._root.should_sample(parent_context, trace_id, name, kind, *args, **kwargs)
        if result.decision is not Decision.DROP or kind is SpanKind.SERVER:
            return result
        if collecting_request(parent_context) is None:
            return result
        return SamplingResult(Decision.RECORD_ONLY, result.attributes, result.trace_state)

    def get_description(self) -> str:
        """Return this sampler's name with the description of ``root``."""
        return f"ChildSpanSampler{{{self._root.get_description()}}}"


def record_child_spans(provider: TracerProvider) -> TracerProvider:
    """Put this sampler around a provider's own and return the provider.

    Call it before the provider hands out a tracer: tracers copy the sampler.
    """
    provider.sampler = ChildSpanSampler(provider.sampler)
    return provider
