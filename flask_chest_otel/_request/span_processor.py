"""The span processor for requests: sets the route's destinations on each span, and collects child spans."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING
from weakref import ref

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor

from flask_chest_otel._guard import guarded, report_error
from flask_chest_otel._request.child_spans import MOST_SPANS, open_spans, request_of_parent, started
from flask_chest_otel._request.live import live_request
from flask_chest_otel.names import CHESTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from flask_chest_otel._request.live import LiveRequest

__all__ = ["RequestSpanProcessor", "ensure_on"]


class RequestSpanProcessor(SpanProcessor):
    """Sets ``flask.chests`` at the start of a span, and collects child spans for the records of requests.

    Args:
        of_context: Returns the request whose Flask context is active, also in a thread with a copy of it.

    Attributes:
        names_destinations: Whether any route names destinations.
    """

    def __init__(self, of_context: Callable[[], LiveRequest | None] = lambda: None) -> None:
        self._of_context = of_context
        self.names_destinations = False

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Find the request of a new span: the running one, that of the parent span, that of the Flask context."""
        try:
            live = live_request.get()
            if live is None or live.finished:
                # A thread with a copied Flask context has no context variables of the request, and may outlive it.
                live = request_of_parent(span.parent) or self._of_context()
            if live is not None and (box := live.child_spans) is not None:
                span_id = span.get_span_context().span_id
                if box:
                    box[0].running.add(span_id)
                else:
                    started(live, span, span_id, box)
                open_spans[span_id] = ref(live)
            if self.names_destinations:
                _name_destinations(live, span, parent_context)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("span processor", error)

    def on_end(self, span: ReadableSpan) -> None:
        """Collect the span, if it began in a request that is still open."""
        try:
            context = span.get_span_context()
            span_id = context.span_id if context is not None else 0
            request = open_spans.pop(span_id, None)
            if request is not None and (live := request()) is not None and live.child_spans:
                # No further call: this runs for every span.
                spans = live.child_spans[0]
                spans.aside.append((span_id, span))
                if len(spans.aside) >= MOST_SPANS:
                    spans.thin()
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("span processor", error)

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the base class's signature
        """Return ``True``: there is nothing to flush.

        In SDK 1.30 the base class returns ``None``, which stops the flush before later processors.
        """
        return True


def _name_destinations(live: LiveRequest | None, span: Span, parent_context: Context | None) -> None:
    destinations = live.plan.chests_text if live is not None else None
    if destinations is None:
        parent_attributes = getattr(trace.get_current_span(parent_context), "attributes", None)
        destinations = parent_attributes.get(CHESTS) if parent_attributes else None
    if destinations is not None:
        span.set_attribute(CHESTS, destinations)


_carriers: weakref.WeakKeyDictionary[object, RequestSpanProcessor] = weakref.WeakKeyDictionary()


@guarded("span processor")
def ensure_on(
    provider: object, of_context: Callable[[], LiveRequest | None] = lambda: None, *, destinations: bool = False
) -> bool:
    """Add the processor to ``provider``, once. A provider that takes no processors (no SDK) is left unchanged.

    Args:
        provider: Any tracer provider.
        of_context: See :class:`RequestSpanProcessor`.
        destinations: Whether a route names destinations.

    Returns:
        Whether the provider has the processor.
    """
    if not hasattr(provider, "add_span_processor"):
        return False
    found = _carriers.get(provider)
    if found is None:
        fresh = RequestSpanProcessor(of_context)
        # Our providers for several services in one process share their processors: the first one holds the entry.
        found = _carriers.setdefault(getattr(provider, "first", provider), fresh)
        # Of several threads at the same time, exactly one finds its own object in the dictionary.
        if found is fresh:
            provider.add_span_processor(fresh)
        _carriers[provider] = found
    found.names_destinations = found.names_destinations or destinations
    return True
