"""What the fields of ``log_fields`` add to one log line, beside a filter written by hand: ``make bench``.

One process; the versions of a line take turns of a few milliseconds, so that the machine hits all alike.
"""

from __future__ import annotations

import gc
import logging
import statistics
import time
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask, g
from opentelemetry import trace

from flask_chest_otel import FlaskChest, current_request_id
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ROUNDS, LINES = 300, 200

_log = logging.getLogger("shop")


class _Discard(logging.Handler):
    """Formats each line, as every handler does, and keeps none."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


_handler = _Discard()


class ByHand(logging.Filter):
    """What an application writes itself: the same three fields."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Put them on a record."""
        span = trace.get_current_span().get_span_context()
        record.request_id = current_request_id() or "-"
        record.trace_id = trace.format_trace_id(span.trace_id) if span.is_valid else "-"
        record.span_id = trace.format_span_id(span.span_id) if span.is_valid else "-"
        return True


class Cost(NamedTuple):
    """Of one line, microseconds."""

    plain: float
    by_hand: float
    chest: float


def _line_us() -> float:
    info = _log.info
    start = time.thread_time()
    for number in range(LINES):
        info("cart %d of %s", number, "u-4711")
    return (time.thread_time() - start) / LINES * 1e6


@contextmanager
def _plain() -> Iterator[None]:
    """``logging.Logger`` as it is without the package."""
    put = {name: getattr(logging.Logger, name) for name in ("handle", "callHandlers")}
    for name, method in put.items():
        setattr(logging.Logger, name, getattr(method, "__wrapped__", method))
    try:
        yield
    finally:
        for name, method in put.items():
            setattr(logging.Logger, name, method)


@contextmanager
def _by_hand() -> Iterator[None]:
    found = ByHand()
    with _plain():
        _handler.addFilter(found)
        try:
            yield
        finally:
            _handler.removeFilter(found)


_WAYS: tuple[Callable[[], AbstractContextManager[None]], ...] = (_plain, _by_hand, nullcontext)


def _measure() -> Cost:
    """The best tenth of the rounds: whatever else the machine does only adds."""
    times: list[list[float]] = [[], [], []]
    gc.disable()
    for _ in range(ROUNDS):
        for found, way in zip(times, _WAYS, strict=True):
            with way():
                found.append(_line_us())
    gc.enable()
    return Cost(*(statistics.mean(sorted(found)[: ROUNDS // 10]) for found in times))


def _in_request(app: Flask) -> Cost:
    found: list[Cost] = []

    def view() -> str:
        g.user_id = "u-4711"
        found.append(_measure())
        return "ok"

    app.add_url_rule("/", view_func=view)
    app.test_client().get("/")
    return found[0]


def _app(**options: Any) -> Flask:
    app = Flask("shop")
    app.testing = True
    FlaskChest(app, **options)
    return app


def _kept(app: Flask) -> Cost:
    with capture(app):
        return _in_request(app)


CASES: dict[str, Callable[[], Cost]] = {
    "in a request": lambda: _in_request(_app()),
    "outside of requests": _measure,
    "in a request, kept for its record": lambda: _kept(_app()),
    "in a request, with a variable": lambda: _in_request(
        _app(tracked_vars=["user_id"], log_fields=["request_id", "trace_id", "span_id", "user_id"])
    ),
}


def main() -> None:
    """Measure and print."""
    _handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _log.addHandler(_handler)
    _log.setLevel(logging.INFO)
    _log.propagate = False
    print(f"{'a log line':<36} {'us without':>10} {'by hand':>8} {'chest':>8}")
    for name, measure in CASES.items():
        cost = measure()
        by_hand, chest = cost.by_hand - cost.plain, cost.chest - cost.plain
        print(
            f"{name:<36} {cost.plain:10.2f} {by_hand:+8.2f} {chest:+8.2f}"
            f"   {chest / by_hand:.2f} x by hand, {chest / cost.plain:.2f} x a line"
        )


if __name__ == "__main__":
    main()
