"""The trace that a request arrives in, by whatever global propagator the application has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator, default_getter, default_setter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Rig

MINE = 0x1234


class Mine(TextMapPropagator):
    """Reads a trace id from a header of its own, or makes one where it has none.

    Args:
        header: Which one.
        fields: What it says that it writes.
    """

    def __init__(self, header: str | None, fields: set[str] | None) -> None:
        self._header = header
        self._fields = fields

    @property
    def fields(self) -> set[str]:
        """As given."""
        if self._fields is None:
            raise RuntimeError("the application's own")
        return self._fields

    def extract(self, carrier: Any, context: Context | None = None, getter: Any = default_getter) -> Context:
        """Put the trace of the header into the context."""
        found = getter.get(carrier, self._header) if self._header is not None else [f"{MINE:x}"]
        if not found:
            return context if context is not None else Context()
        parent = SpanContext(int(found[0], 16), 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        return trace.set_span_in_context(NonRecordingSpan(parent), context)

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = default_setter) -> None:
        """Nothing leaves here."""


@pytest.fixture(autouse=True)
def _global_propagator() -> Iterator[None]:
    before = propagate.get_global_textmap()
    yield
    propagate.set_global_textmap(before)


def trace_of(rig: Rig, app: Any, **headers: str) -> int:
    """The trace id of one request's server span."""
    rig.exporter.clear()
    app.test_client().get("/", headers={name.replace("_", "-"): text for name, text in headers.items()}).get_data()
    return int(rig.server().context.trace_id)


@pytest.mark.parametrize("fields", [{"x-mine"}, set(), None])
def test_own_propagators_are_asked(rig: Rig, fields: set[str] | None) -> None:
    """A propagator with a header of its own is asked, whatever it says of its fields; also one beside the W3C's."""
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    assert trace_of(rig, app) != MINE
    propagate.set_global_textmap(Mine("x-mine", fields))
    assert trace_of(rig, app, x_mine=f"{MINE:x}") == MINE
    assert trace_of(rig, app) != MINE
    propagate.set_global_textmap(CompositePropagator([TraceContextTextMapPropagator(), Mine("x-mine", {"x-mine"})]))
    assert trace_of(rig, app, x_mine=f"{MINE:x}") == MINE


def test_a_propagator_that_needs_no_header_is_asked(rig: Rig) -> None:
    """One that reads the environment of the process, as that for AWS Lambda does, is asked without any header."""
    propagate.set_global_textmap(Mine(None, {"X-Amzn-Trace-Id"}))
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    assert trace_of(rig, app) == MINE


def test_the_w3c_s_headers_are_read(rig: Rig) -> None:
    """A request with ``traceparent`` is part of that trace, before and after one without."""
    propagate.set_global_textmap(TraceContextTextMapPropagator())
    app = rig.app()
    app.add_url_rule("/", view_func=lambda: "ok")
    parent = f"00-{MINE:032x}-{1:016x}-01"
    assert [trace_of(rig, app, traceparent=parent) == MINE for _ in range(2)] == [True, True]
    assert trace_of(rig, app) != MINE
    assert trace_of(rig, app, traceparent=parent) == MINE
