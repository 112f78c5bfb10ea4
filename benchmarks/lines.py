"""What the fields of ``log_fields`` add to one log line, beside a filter written by hand: ``make bench``.

Forks of one process measure the versions of a line, in short turns, so that the machine hits all alike.
"""

from __future__ import annotations

import gc
import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask, g
from opentelemetry import trace

from benchmarks.forks import best_tenth, in_fork
from benchmarks.yardstick import CALLS, yardstick_us
from flask_chest_otel import FlaskChest, current_request_id
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, CHUNKS, LINES = 25, 20, 100

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


class Case(NamedTuple):
    """A place where lines are logged, and how much our part may add to a line, microseconds."""

    measure: Callable[[], Cost]
    goal: float | None = None


def _lines_us() -> list[float]:
    """Of one line, in each of several chunks."""
    info, found = _log.info, []
    for _ in range(CHUNKS + 1):
        start = time.thread_time()
        for number in range(LINES):
            info("cart %d of %s", number, "u-4711")
        found.append((time.thread_time() - start) / LINES * 1e6)
    return found[1:]


def _plain() -> None:
    """``logging.Logger`` as it is without the package."""
    for name in ("handle", "callHandlers"):
        method = getattr(logging.Logger, name)
        setattr(logging.Logger, name, getattr(method, "__wrapped__", method))


def _by_hand() -> None:
    _plain()
    _handler.addFilter(ByHand())


def _chest() -> None:
    pass


def _measure() -> Cost:
    """The best tenth of the chunks: whatever else the machine does only adds."""
    times: list[list[float]] = [[], [], []]
    gc.collect()
    for _ in range(ROUNDS):
        for found, way in zip(times, (_plain, _by_hand, _chest), strict=True):
            found.extend(in_fork(way, _lines_us))
    return Cost(*map(best_tenth, times))


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


CASES: dict[str, Case] = {
    "in a request": Case(lambda: _in_request(_app()), 1.0),
    "outside of requests": Case(_measure, 0.5),
    "in a request, kept for its record": Case(lambda: _kept(_app())),
    "in a request, with a variable": Case(
        lambda: _in_request(_app(tracked_vars=["user_id"], log_fields=["request_id", "trace_id", "span_id", "user_id"]))
    ),
}


def _verdict(added: float, goal: float | None) -> str:
    return "" if goal is None else f"; goal {goal:.1f} µs: {'reached' if added <= goal else 'NOT reached'}"


def main() -> None:
    """Measure and print."""
    _handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _log.addHandler(_handler)
    _log.setLevel(logging.INFO)
    _log.propagate = False
    print(f"this machine takes {yardstick_us():.0f} µs for {CALLS} calls of an empty function")
    print(f"{'a log line, µs':<36} {'us without':>10} {'by hand':>8} {'chest':>8}")
    for name, case in CASES.items():
        cost = case.measure()
        by_hand, chest = cost.by_hand - cost.plain, cost.chest - cost.plain
        print(
            f"{name:<36} {cost.plain:10.2f} {by_hand:+8.2f} {chest:+8.2f}   {chest / by_hand:.2f} x by hand, "
            f"{chest / cost.plain:.2f} x a line{_verdict(chest, case.goal)}"
        )


if __name__ == "__main__":
    main()
