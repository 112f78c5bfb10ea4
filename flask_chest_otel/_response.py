"""Response headers: the request id, and the trace for browsers. Never over one that the application set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.instrumentation.propagators import get_global_response_propagator

from flask_chest_otel.names import SERVER_TIMING, TRACERESPONSE

if TYPE_CHECKING:
    from flask import Response
    from opentelemetry.trace import Span

__all__ = ["ResponseHeaders"]

_ALLOW_ORIGIN = "access-control-allow-origin"
_EXPOSE = "Access-Control-Expose-Headers"
_OURS = "_flask_chest_headers"
"""Attribute of a response: the headers that are on it by us, with their values."""


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

    def set_on(self, response: Response, request_id: str, span: Span | None) -> None:
        """Add what is not there yet."""
        headers = response.headers
        earlier = getattr(response, _OURS, None)
        if earlier is not None:
            # One object answers many requests: what it got for the last one does not stay.
            kept = [pair for pair in headers if pair not in earlier]
            headers.clear()
            headers.extend(kept)
        # Looked through once: asking werkzeug for one name walks over all of them.
        present = {name.lower() for name, _ in headers}
        added = [(name, request_id) for lower, name in self._request_id if lower not in present]
        for name, value in added:
            headers.add(name, value)
        if span is not None and (self._trace_response or self._server_timing):
            added += self._set_trace(headers, span)
        setattr(response, _OURS, added)
        if _ALLOW_ORIGIN in present and added:
            _expose(headers, [name for name, _ in added])

    def _set_trace(self, headers: Any, span: Span) -> list[tuple[str, str]]:
        context = span.get_span_context()
        if not context.is_valid:
            return []
        text = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
        others = _of_global_propagator()
        added = []
        if self._trace_response and TRACERESPONSE not in headers and TRACERESPONSE.lower() not in others:
            headers[self._trace_response] = text
            added.append((self._trace_response, text))
        timings = ",".join(headers.getlist(SERVER_TIMING))
        if self._server_timing and "traceparent" not in timings and SERVER_TIMING.lower() not in others:
            # A list-valued header: the application's own timings stay beside ours.
            timing = f'traceparent;desc="{text}"'
            headers.add(self._server_timing, timing)
            added.append((self._server_timing, timing))
        return added


def _of_global_propagator() -> frozenset[str]:
    """Names, in lower case, that upstream's instrumentation is about to add by itself."""
    propagator = get_global_response_propagator()  # type: ignore[no-untyped-call]
    if propagator is None:
        return frozenset()
    carrier: dict[str, Any] = {}
    propagator.inject(carrier)
    return frozenset(name.lower() for name in carrier)


def _expose(headers: Any, names: list[str]) -> None:
    """Let scripts of other origins read the headers, where the application lets them read the response."""
    present = headers.get(_EXPOSE, "")
    exposed = {name.strip().lower() for name in present.split(",")}
    missing = [name for name in names if name.lower() not in exposed]
    if missing and "*" not in exposed:
        headers[_EXPOSE] = ", ".join([present, *missing] if present else missing)
