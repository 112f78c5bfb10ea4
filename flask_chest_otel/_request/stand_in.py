"""A server span of our own for a request that ended before OpenTelemetry's Flask instrumentation began one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from flask import request

from flask_chest_otel._request.lookup import find_span

if TYPE_CHECKING:
    from flask_chest_otel._request.live import LiveRequest
    from flask_chest_otel._server_span.factory import ServerSpanFactory

__all__ = ["end_stand_in", "settle_span"]


def settle_span(live: LiveRequest, stand_ins: ServerSpanFactory | None) -> None:
    """Find the server span. Where upstream never began one, as a URL preprocessor ended the request, start our own."""
    find_span(live)
    if live.span is None and stand_ins is not None and not (live.reached_upstream or live.dispatched):
        plan = live.plan
        live.span, live.context = stand_ins.start_stand_in(
            request.environ, live.method, plan.route, plan.chests_text, live.start_unix_ns
        )
        live.stands_in = True


def end_stand_in(live: LiveRequest, stand_ins: ServerSpanFactory | None, error: BaseException | None) -> None:
    """End the stand-in span with the request, if there is one."""
    if live.stands_in and stand_ins is not None and live.span is not None:
        end_unix_ns = live.start_unix_ns + int((time.perf_counter() - live.start_s) * 1e9)
        stand_ins.end_stand_in(live.span, live.status, error, end_unix_ns)
