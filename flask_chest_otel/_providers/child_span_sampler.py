"""Child spans of a request that is sampled out: recorded for its record, exported by nobody."""

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
    """Decides as another sampler does, but has child spans recorded that a request's record wants.

    The SDK's ``AlwaysRecordSampler`` does so for every span, wanted or not, and is there since SDK 1.45. The flag
    that says "sampled" stays off, by which exporters and other services go.

    Args:
        root: The other sampler.

    Attributes:
        records_child_spans: By this a provider is known whose child spans are there, sampled or not.
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
        """The other sampler's decision; ``RECORD_ONLY`` in place of ``DROP`` where the span is wanted."""
        result = self._root.should_sample(parent_context, trace_id, name, kind, *args, **kwargs)
        if result.decision is not Decision.DROP or kind is SpanKind.SERVER:
            return result
        if collecting_request(parent_context) is None:
            return result
        return SamplingResult(Decision.RECORD_ONLY, result.attributes, result.trace_state)

    def get_description(self) -> str:
        """The other sampler's description, with this one's name around it."""
        return f"ChildSpanSampler{{{self._root.get_description()}}}"


def record_child_spans(provider: TracerProvider) -> TracerProvider:
    """Give a provider of ours this sampler, before it has handed out a tracer; returns ``provider``."""
    provider.sampler = ChildSpanSampler(provider.sampler)
    return provider
