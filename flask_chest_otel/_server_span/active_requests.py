"""The metric ``http.server.active_requests``.

It is observed when metrics are collected: to count up and down would take two measurements in each request.
"""

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
    """The requests that are being answered, by all applications with the same meter provider."""

    def __init__(self) -> None:
        # One dict for each process: a child does not answer the requests that its parent was answering at the fork.
        self._here: PerProcess[dict[tuple[str, str], set[object]]] = PerProcess(dict)

    def enter(self, key: tuple[str, str], server_span: object) -> set[object]:
        """Count a request as active, by method and scheme, until it is taken out of the set.

        In a child that was forked inside the request, that set is not the child's own, which never had the request.
        """
        all_here = self._here.get()
        active = all_here.get(key)
        if active is None:
            active = all_here.setdefault(key, set())
        active.add(server_span)
        return active

    def observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        """Observe the number of active requests."""
        for (method, scheme), active in list(self._here.get().items()):
            yield Observation(len(active), {HTTP_REQUEST_METHOD: method, "url.scheme": scheme})


def active_requests(meter: Meter, meter_provider: object) -> ActiveRequests:
    """Return the ``ActiveRequests`` of a meter provider, made on the first call.

    There is one for each provider, as the SDK ignores the callback of a second instrument with the same name.

    Args:
        meter: Makes the instrument on the first call.
        meter_provider: The provider of ``meter``; ``None``: the global one, even if it is set later.
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
