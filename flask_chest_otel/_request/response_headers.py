"""Response headers: the request id, and the trace for browsers. Never over one that the application set.

They are put on at the WSGI border: a response is the application's object, which several threads may send at once.
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
    """The headers that one application wants on its responses.

    Args:
        names: ``traceresponse``, ``Server-Timing``, and names that carry the request id.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        by_lower = {name.lower(): name for name in names}
        self._trace_response = by_lower.pop(TRACERESPONSE.lower(), None)
        self._server_timing = by_lower.pop(SERVER_TIMING.lower(), None)
        self._request_id = tuple(by_lower.items())

    def added_to(self, headers: list[tuple[str, str]], request_id: str, span: Span | None) -> list[tuple[str, str]]:
        """A new list, with what is not there yet: many requests may be answered with one response."""
        present = {name.lower() for name, _ in headers}
        added = [(name, request_id) for lower, name in self._request_id if lower not in present]
        if span is not None and (self._trace_response or self._server_timing):
            added += self._of_trace(headers, present, span)
        if _ALLOW_ORIGIN in present and added:
            headers = _exposing(headers, [name for name, _ in added])
        return [*headers, *added]

    def on_copy(self, response: Response, request_id: str, span: Span | None) -> Response:
        """The same response with the headers, where they cannot be put on at the border; ``response`` stays."""
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
            # A list-valued header: the application's own timings stay beside ours.
            added.append((self._server_timing, f'traceparent;desc="{text}"'))
        return added


def _of_global_propagator() -> frozenset[str]:
    """Names, in lower case, that upstream's instrumentation is about to add by itself."""
    propagator = get_global_response_propagator()  # type: ignore[no-untyped-call]
    if propagator is None:
        return frozenset()
    carrier: dict[str, object] = {}
    propagator.inject(carrier)
    return frozenset(name.lower() for name in carrier)


def _exposing(headers: list[tuple[str, str]], names: list[str]) -> list[tuple[str, str]]:
    """Let scripts of other origins read the headers, where the application lets them read the response."""
    present = ", ".join(value for name, value in headers if name.lower() == _EXPOSE.lower())
    exposed = {name.strip().lower() for name in present.split(",")}
    missing = [name for name in names if name.lower() not in exposed]
    if not missing or "*" in exposed:
        return headers
    others = [(name, value) for name, value in headers if name.lower() != _EXPOSE.lower()]
    return [*others, (_EXPOSE, ", ".join([present, *missing] if present else missing))]
