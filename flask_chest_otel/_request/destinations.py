"""Copies a route's destinations to every span of its requests, so that a collector can filter whole traces."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor

from flask_chest_otel._guard import guarded
from flask_chest_otel._request.live import live_request
from flask_chest_otel.names import CHESTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from flask_chest_otel._request.live import LiveRequest

__all__ = ["DestinationsProcessor", "ensure_on"]


class DestinationsProcessor(SpanProcessor):
    """Sets ``flask.chests`` at the start of a span, from the request around it or from its parent.

    Args:
        of_context: The record of the request whose context is here, in a thread with a copy of it, too.
    """

    def __init__(self, of_context: Callable[[], LiveRequest | None] = lambda: None) -> None:
        self._of_context = of_context

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Ask the running request, the request's context, then the parent: work may go on in threads without either."""
        live = live_request.get()
        if live is None or live.finished:
            # A copied context has the request, but no variables of the thread that it is from; and it may outlive it.
            live = self._of_context()
        destinations = live.plan.chests_text if live is not None else None
        if destinations is None:
            parent_attributes = getattr(trace.get_current_span(parent_context), "attributes", None)
            destinations = parent_attributes.get(CHESTS) if parent_attributes else None
        if destinations is not None:
            span.set_attribute(CHESTS, destinations)

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002 - the base class's signature
        """Nothing is held. In SDK 1.30 the base class answers ``None``, which keeps later processors from flushing."""
        return True


_carriers: weakref.WeakKeyDictionary[Any, DestinationsProcessor] = weakref.WeakKeyDictionary()


@guarded("span processor")
def ensure_on(provider: Any, of_context: Callable[[], LiveRequest | None] = lambda: None) -> None:
    """Give ``provider`` the processor, once; a provider that takes none (no SDK) is left alone."""
    if provider not in _carriers and hasattr(provider, "add_span_processor"):
        fresh = DestinationsProcessor(of_context)
        # Providers of several services in one process share their processors: one of them has it for all.
        found = _carriers.setdefault(getattr(provider, "first", provider), fresh)
        # Of several first requests, one finds its own in the dictionary.
        if found is fresh:
            provider.add_span_processor(fresh)
        _carriers[provider] = found
