"""Request records as a chest gets them, made without an application."""

from __future__ import annotations

import itertools
import time
from typing import Any

from flask_chest_otel._records.record import RequestRecord

_numbers = itertools.count()


def make_record(**changes: Any) -> RequestRecord:
    """Return a record whose ids nobody else has; keywords change fields of it."""
    number = next(_numbers)
    values: dict[str, Any] = {
        "start_unix_ns": time.time_ns(),
        "duration_s": 0.0125,
        "service": "shop",
        "request_id": f"r-{number}",
        "trace_id": f"{number + 1:032x}",
        "span_id": f"{number + 1:016x}",
        "method": "GET",
        "route": "/cart/<int:cart_id>",
        "status": 200,
        "variables": {"user_id": "u1", "cart_total": 42.5},
    }
    return RequestRecord(**{**values, **changes})
