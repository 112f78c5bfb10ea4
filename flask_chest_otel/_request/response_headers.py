"""Response headers: the request id, and the trace for browsers. Headers that the application set are never replaced.

The headers are added to the list that goes to the WSGI server. The response object is not changed: it belongs to the
application, and several threads may send it at the same time.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.propagators import get_global_response_propagator

from flask_chest_otel.names import SERVER_TIMING, TRACERESPONSE

if TYPE_CHECKING:
    from flask import Response
    from opentelemetry.trace import Span

__all__ = ["ResponseHeaders"]

_ALLOW_ORIGIN = "access-control-allow-origin"
_EXPOSE = "Access-Control-Expose-Headers"


class ResponseHeaders:
    """Adds headers to the responses of one application.

    Args:
        names: The headers to add: ``traceresponse``, ``Server-Timing``; every other name carries the request id.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        by_lower = {name.lower(): name for name in names}
        self._trace_response = by_lower.pop(TRACERESPONSE.lower(), None)
        self._server_timing = by_lower.pop(SERVER_TIMING.lower(), None)
        self._request_id = tuple(by_lower.items())

    def added_to(self, headers: list[tuple[str, str]], request_id: str, span: Span | None) -> list[tuple[str, str]]:
        """Return a new list with the missing headers added; one response may answer many requests."""
        # Loops, because each comprehension is a call before Python 3.12.
        present, added = set(), []
        for name, _ in headers:
            present.add(name.lower())
        for lower, name in self._request_id:
            if lower not in present:
                added.append((name, request_id))
        if span is not None and (self._trace_response or self._server_timing):
            added += self._of_trace(headers, present, span)
        if _ALLOW_ORIGIN in present and added:
            headers = _exposing(headers, [name for name, _ in added])
        return [*headers, *added]

    def on_copy(self, response: Response, request_id: str, span: Span | None) -> Response:
        """Return a copy of the response with the headers, for applications whose WSGI entry is not wrapped."""
        answer = copy.copy(response)
        answer.headers = type(response.headers)(self.added_to(list(response.headers), request_id, span))
        return answer

    def _of_trace(self, headers: list[tuple[str, str]], present: set[str], span: Span) -> list[tuple[str, str]]:
        context = span.get_span_context()
        if not context.is_valid:
            return []
        text = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        others = _of_global_propagator()
        added = []
        if self._trace_response and TRACERESPONSE.lower() not in present | others:
            added.append((self._trace_response, text))
        timings = ",".join(value for name, value in headers if name.lower() == SERVER_TIMING.lower())
        if self._server_timing and "traceparent" not in timings and SERVER_TIMING.lower() not in others:
            # Server-Timing may occur several times, so ours is added to the application's own.
            added.append((self._server_timing, f'traceparent;desc="{text}"'))
        return added


def _of_global_propagator() -> frozenset[str]:
    """Names, in lower case, of the headers that OpenTelemetry's Flask instrumentation will add itself."""
    propagator = get_global_response_propagator()  # type: ignore[no-untyped-call]
    if propagator is None:
        return frozenset()
    carrier: dict[str, object] = {}
    propagator.inject(carrier)
    return frozenset(name.lower() for name in carrier)


def _exposing(headers: list[tuple[str, str]], names: list[str]) -> list[tuple[str, str]]:
    """Add ``names`` to ``Access-Control-Expose-Headers`` where the application lets other origins read the response."""
    present = ", ".join(value for name, value in headers if name.lower() == _EXPOSE.lower())
    exposed = {name.strip().lower() for name in present.split(",")}
    missing = [name for name in names if name.lower() not in exposed]
    if not missing or "*" in exposed:
        return headers
    others = [(name, value) for name, value in headers if name.lower() != _EXPOSE.lower()]
    return [*others, (_EXPOSE, ", ".join([present, *missing] if present else missing))]
