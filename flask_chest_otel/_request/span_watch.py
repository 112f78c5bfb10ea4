"""Watches the child spans of an application's requests, for their records."""

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
"""Requests between two looks at the global provider, which may be set at any time; to ask for it may take 1 µs."""


class _Export(Protocol):
    """Who makes an application's spans.

    Attributes:
        private_tracer: Of the provider that only this application has, and that exports nothing.
    """

    private_tracer: trace.Tracer | None

    def tracer_provider(self) -> object:
        """The provider that the application's spans come from, as things stand."""


class SpanWatch:
    """Sees to it that child spans are taken, whoever records them.

    Args:
        config: The application's settings.
        export: Who makes its spans.
        router: Says whether spans are kept, or only counted.
        of_context: The record of the request whose context is here.
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
        """Whether somebody keeps child spans, and not only what they add up to."""
        return self._router.keeps_spans

    @property
    def private_tracer(self) -> trace.Tracer | None:
        """Makes the spans of tracers that have no provider."""
        return self._export.private_tracer

    def begin(self, live: LiveRequest) -> None:
        """A request begins whose record somebody wants."""
        live.span_watch = self
        live.child_spans = []
        self._left -= 1
        if self._left < 0:
            self._look()

    def name_destinations(self) -> None:
        """A request begins whose route names destinations."""
        ensure_on(self._export.tracer_provider(), self._of_context, destinations=True)

    def finish(self, live: LiveRequest) -> child_spans.TakenSpans:
        """The record is made."""
        if live.child_spans or live.outer is not None:
            return child_spans.finish(live, self._shape or self._load_shape())
        # Most requests: nothing but a server span was followed.
        live.child_spans = None
        child_spans.open_spans.pop(live.server_span_id, None)
        return child_spans.NOTHING

    def sees(self, live: LiveRequest) -> bool:
        """Whether child spans of this request could be seen: there is an SDK, and it recorded them."""
        if not self._sees_spans:
            return False
        span = live.span
        return span is None or span.is_recording() or (self._sees_sampled_out and span.get_span_context().is_valid)

    def _load_shape(self) -> Shape:
        """What shapes child spans, made with the first request that has any."""
        from flask_chest_otel._request.child_span_shape import SpanShape  # noqa: PLC0415 - many applications need none

        self._shape = SpanShape(self._config).shaped
        return self._shape

    def _look(self) -> None:
        """At the first request, the second, the fourth, and so on."""
        self._left = self._wait
        self._wait = min(_LOOK_EVERY, 2 * self._wait + 1)
        provider, global_one = self._export.tracer_provider(), trace.get_tracer_provider()
        seen = [bool(ensure_on(one, self._of_context)) for one in (provider, global_one)]
        self._sees_spans = any(seen)
        self._sees_sampled_out = getattr(getattr(provider, "sampler", None), "records_child_spans", False)
