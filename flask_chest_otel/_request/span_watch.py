"""Makes sure that the child spans of an application's requests are collected for their records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from opentelemetry import trace

from flask_chest_otel._request import child_spans
from flask_chest_otel._request.span_processor import ensure_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._records.router import ChestRouter
    from flask_chest_otel._request.live import LiveRequest
    from flask_chest_otel._request.shaped_spans import Shape
    from flask_chest_otel.config import ChestConfig

__all__ = ["SpanWatch"]

_LOOK_EVERY = 64
"""Number of requests between two checks of the global provider. It may be set at any time; a check may take 1 µs."""


class _Export(Protocol):
    """Knows the tracer provider of an application.

    Attributes:
        private_tracer: Tracer of a provider that only this application uses and that exports nothing.
    """

    private_tracer: trace.Tracer | None

    def tracer_provider(self) -> object:
        """The provider that makes the application's spans at present."""


class SpanWatch:
    """Makes sure that child spans are collected, whichever provider makes them.

    Args:
        config: The application's settings.
        export: Knows the application's tracer provider.
        router: Knows whether any chest keeps spans.
        of_context: Returns the request whose Flask context is active.
    """

    def __init__(
        self,
        config: ChestConfig,
        export: _Export,
        router: ChestRouter,
        of_context: Callable[[], LiveRequest | None],
    ) -> None:
        self._config = config
        self._shape: Shape | None = None
        self._export = export
        self._router = router
        self._of_context = of_context
        self._wait = self._left = 0
        self._sees_spans = self._sees_sampled_out = False

    @property
    def keeps_spans(self) -> bool:
        """Whether any chest keeps child spans; else only their number and durations are recorded."""
        return self._router.keeps_spans

    @property
    def private_tracer(self) -> trace.Tracer | None:
        """The tracer for spans where no provider of an SDK is set."""
        return self._export.private_tracer

    def begin(self, live: LiveRequest) -> None:
        """Begin to watch a request whose record is wanted."""
        live.span_watch = self
        if self._router.keeps_timings:
            live.child_spans = []
        self._left -= 1
        if self._left < 0:
            self._look()

    def name_destinations(self) -> None:
        """Set destinations on spans from now on: the route of a request names some."""
        ensure_on(self._export.tracer_provider(), self._of_context, destinations=True)

    def finish(self, live: LiveRequest) -> child_spans.TakenSpans:
        """Return the child spans of a request for its record."""
        if live.child_spans or live.outer is not None:
            return child_spans.finish(live, self._shape or self._load_shape())
        # Most requests have no span except the server span.
        live.child_spans = None
        child_spans.open_spans.pop(live.server_span_id, None)
        return child_spans.NOTHING

    def sees(self, live: LiveRequest) -> bool:
        """Whether child spans of this request were visible: an SDK recorded them."""
        if not self._sees_spans:
            return False
        span = live.span
        return span is None or span.is_recording() or (self._sees_sampled_out and span.get_span_context().is_valid)

    def _load_shape(self) -> Shape:
        """Make the object that shapes child spans, for the first request that has any."""
        from flask_chest_otel._request.child_span_shape import SpanShape  # noqa: PLC0415 - many applications need none

        self._shape = SpanShape(self._config).shaped
        return self._shape

    def _look(self) -> None:
        """Check both providers. The number of requests until the next check doubles, up to ``_LOOK_EVERY``."""
        self._left = self._wait
        self._wait = min(_LOOK_EVERY, 2 * self._wait + 1)
        provider, global_one = self._export.tracer_provider(), trace.get_tracer_provider()
        seen = [bool(ensure_on(one, self._of_context)) for one in (provider, global_one)]
        self._sees_spans = any(seen)
        self._sees_sampled_out = getattr(getattr(provider, "sampler", None), "records_child_spans", False)
