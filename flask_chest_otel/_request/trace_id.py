"""Makes the trace id of a request from its request id.

A tracer keeps the id generator that its provider had when the tracer was made. Methods are therefore set on the
provider's generator object, which is not replaced: this reaches every tracer, old and new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from flask_chest_otel._guard import guarded
from flask_chest_otel._request.live import live_request
from flask_chest_otel.ids import map_request_id

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ChestIdGenerator", "shadow", "unshadow"]

_GENERATE = "generate_trace_id"
_IS_RANDOM = "is_trace_id_random"


class ChestIdGenerator(RandomIdGenerator):
    """Generates random ids; the trace id of a request's root span is made from its request id.

    Use it with ``OTEL_PYTHON_ID_GENERATOR=flask_chest``, in declarative configuration, or with
    ``TracerProvider(id_generator=ChestIdGenerator())``. Other generators get the same behaviour at the first request,
    so this class is needed only where a generator has slots or forbids changes.
    """

    def generate_trace_id(self) -> int:
        """A 128-bit trace id, never zero."""
        return _mapped_trace_id() or super().generate_trace_id()

    def is_trace_id_random(self) -> bool:
        """Whether the id just made has random low 56 bits (W3C trace context level 2, flag 0x02)."""
        return _random_flag(lambda: True)


def _mapped_trace_id() -> int | None:
    """The trace id for a root span that starts now, where it is made from the request id; else ``None``."""
    live = live_request.get()
    if live is None or live.dispatched or live.finished:
        return None
    if live.root_trace_id is None and live.request_id is not None:
        live.root_trace_id = map_request_id(live.request_id, live.ids.secret)
    return live.root_trace_id


def _random_flag(otherwise: Callable[[], bool]) -> bool:
    """Whether the trace id just made counts as random: no client can choose its low bits.

    Without a secret, a client may search for request ids whose hash suits it, so the result is then ``False``.
    """
    live = live_request.get()
    if live is None or live.root_trace_id is None or live.dispatched or live.finished:
        return otherwise()
    return live.ids.secret is not None or not live.own_id


class _ShadowGenerate:
    """Replaces ``generate_trace_id`` on a generator object; calls the original where no request decides the id."""

    def __init__(self, original: Callable[[], int]) -> None:
        self._original = original

    def __call__(self) -> int:
        return _mapped_trace_id() or self._original()


class _ShadowIsRandom:
    """Replaces ``is_trace_id_random`` on a generator object; calls the original where no request decided the id."""

    def __init__(self, original: Callable[[], bool]) -> None:
        self._original = original

    def __call__(self) -> bool:
        return _random_flag(self._original)


def shadow(provider: object) -> None:
    """Make the id generator of ``provider`` use the running request's trace id; calling it again has no effect."""
    generator = getattr(provider, "id_generator", None)
    if generator is None or isinstance(generator, ChestIdGenerator):
        return
    with guarded("id generator"):
        _shadow(generator)


def _shadow(generator: Any) -> None:
    if isinstance(generator.__dict__.get(_GENERATE), _ShadowGenerate):
        return
    is_random = getattr(generator, _IS_RANDOM, None)  # since SDK 1.42
    if is_random is not None:
        setattr(generator, _IS_RANDOM, _ShadowIsRandom(is_random))
    setattr(generator, _GENERATE, _ShadowGenerate(generator.generate_trace_id))


def unshadow(provider: object) -> None:
    """Undo :func:`shadow`."""
    generator = getattr(provider, "id_generator", None)
    for name, kind in ((_GENERATE, _ShadowGenerate), (_IS_RANDOM, _ShadowIsRandom)):
        if isinstance(getattr(generator, "__dict__", {}).get(name), kind):
            delattr(generator, name)
