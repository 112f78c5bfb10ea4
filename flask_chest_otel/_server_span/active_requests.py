"""``http.server.active_requests``: observed when metrics are collected, as counting would measure twice a request."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from opentelemetry import metrics
from opentelemetry.metrics import Observation

from flask_chest_otel._base.process import PerProcess
from flask_chest_otel.names import HTTP_REQUEST_METHOD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.metrics import CallbackOptions, Meter

__all__ = ["ActiveRequests", "active_requests"]


class ActiveRequests:
    """The requests that are being answered, of all applications with one meter provider."""

    def __init__(self) -> None:
        # What the parent was answering at a fork, it answers still.
        self._here: PerProcess[dict[tuple[str, str], set[object]]] = PerProcess(dict)

    def enter(self, key: tuple[str, str], server_span: object) -> None:
        """Count a request as active, by method and scheme."""
        all_here = self._here.get()
        active = all_here.get(key)
        if active is None:
            active = all_here.setdefault(key, set())
        active.add(server_span)

    def leave(self, key: tuple[str, str], server_span: object) -> None:
        """It is over; a child that was forked inside the request never had it."""
        active = self._here.get().get(key)
        if active is not None:
            active.discard(server_span)

    def observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        """How many there are just now."""
        for (method, scheme), active in list(self._here.get().items()):
            yield Observation(len(active), {HTTP_REQUEST_METHOD: method, "url.scheme": scheme})


def active_requests(meter: Meter, meter_provider: object) -> ActiveRequests:
    """The active requests of one meter provider: of a second instrument with this name, the SDK ignores the callback.

    Args:
        meter: Where the instrument is made, if it is the first.
        meter_provider: Whose it is; ``None``: the global one's, whenever that is set.
    """
    key = metrics.get_meter_provider if meter_provider is None else meter_provider
    fresh = ActiveRequests()
    found = _by_provider.setdefault(key, fresh)
    if found is fresh:
        meter.create_observable_up_down_counter(
            "http.server.active_requests", [fresh.observe], "{request}", "Number of active HTTP server requests."
        )
    return found


_by_provider: weakref.WeakKeyDictionary[object, ActiveRequests] = weakref.WeakKeyDictionary()
