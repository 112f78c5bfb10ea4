"""The same request recorded by other products, beside the chest: ``make bench-others``, in an environment of its own.

Each sends nowhere, or to a closed port of this machine; what is measured is the request's share.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.measure import per_request_us
from benchmarks.variants import app_of, bare, chest, set_variables, upstream_and_by_hand

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

VARIABLES = ("user_id", "plan", "cart_total", "transaction")


def logfire() -> Flask:
    """Pydantic Logfire: its Flask integration, four attributes, a counter and a histogram."""
    import logfire  # noqa: PLC0415 - each variant imports its own product only
    from flask import g  # noqa: PLC0415
    from opentelemetry import trace  # noqa: PLC0415

    logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)
    transactions = logfire.metric_counter("transaction")
    totals = logfire.metric_histogram("cart_total")

    def view(cart_id: int) -> str:
        set_variables()
        trace.get_current_span().set_attributes({name: getattr(g, name) for name in VARIABLES})
        transactions.add(g.transaction)
        totals.record(g.cart_total)
        return f"cart {cart_id}"

    app = app_of(view)
    logfire.instrument_flask(app)
    return app


def sentry(dsn: str = "http://key@127.0.0.1:9/1", **options: Any) -> Flask:
    """Sentry: its Flask integration, every request traced, four data fields; it has no metrics of this kind."""
    import sentry_sdk  # noqa: PLC0415
    from flask import g  # noqa: PLC0415

    sentry_sdk.init(dsn=dsn, traces_sample_rate=1.0, **(options or {"transport": lambda _event: None}))

    def view(cart_id: int) -> str:
        set_variables()
        transaction = sentry_sdk.get_current_scope().transaction
        for name in VARIABLES if transaction is not None else ():
            transaction.set_data(name, getattr(g, name))
        return f"cart {cart_id}"

    return app_of(view)


def ddtrace() -> Flask:
    """Datadog: its Flask integration, four tags; its metrics need an agent."""
    os.environ.update(DD_TRACE_AGENT_URL="http://127.0.0.1:9", DD_INSTRUMENTATION_TELEMETRY_ENABLED="false")
    from ddtrace import patch  # noqa: PLC0415
    from ddtrace.trace import tracer  # noqa: PLC0415
    from flask import g  # noqa: PLC0415

    patch(flask=True)

    def view(cart_id: int) -> str:
        set_variables()
        span = tracer.current_root_span()
        if span is not None:
            for name in VARIABLES:
                span.set_tag(name, getattr(g, name))
        return f"cart {cart_id}"

    return app_of(view)


VARIANTS: dict[str, Callable[[], Flask]] = {
    "bare Flask": bare,
    "chest alone": chest,
    "upstream + by hand": upstream_and_by_hand,
    "logfire": logfire,
    "sentry-sdk": sentry,
    "ddtrace": ddtrace,
}


def _one(name: str) -> float:
    command = [sys.executable, "-m", "benchmarks.others", name]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(ran.stdout.splitlines()[-1])


def main() -> None:
    """Measure each in a process of its own, three times, and print the best."""
    best = {name: min(_one(name) for _ in range(3)) for name in VARIANTS}
    bare_us, chest_us = best["bare Flask"], best["chest alone"]
    print(f"{'variant':<22} {'us/request':>10} {'over bare':>10} {'x chest':>8}")
    for name, found in best.items():
        ratio = f"{(found - bare_us) / (chest_us - bare_us):8.2f}" if name != "bare Flask" else ""
        print(f"{name:<22} {found:10.1f} {found - bare_us:10.1f} {ratio}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(per_request_us(VARIANTS[sys.argv[1]]()))
    else:
        main()
