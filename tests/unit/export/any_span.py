"""Spans of all kinds, as hypothesis makes them: what the SDK's own spans hold, and what others put into one."""

from __future__ import annotations

import enum
from typing import Any

from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.trace.status import Status, StatusCode

__all__ = ["attributes", "batches", "contents", "readable_spans", "span_of", "texts"]


class _Number(enum.IntEnum):
    SEVEN = 7


class _Text(str):
    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Not what the text is."""
        return b"another"


class _Word(str, enum.Enum):
    YES = "yes"


class _Thing:
    pass


# Lone surrogates too, which have no UTF-8.
texts = st.one_of(st.text(max_size=12), st.text(st.characters(), max_size=200), st.text("a\ud800\udfff", max_size=3))
long_texts = st.builds(lambda sign, size: sign * size, st.sampled_from("aé€😀"), st.integers(100, 20_000))
ints = st.one_of(st.integers(-300, 300), st.integers(-(2**63), 2**63 - 1), st.integers(-(2**70), 2**70))
floats = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, float("nan"), float("-inf"), 5e-324]))
plain = st.one_of(
    texts, ints, floats, st.booleans(), st.binary(max_size=20), st.sampled_from([_Number.SEVEN, _Text("a"), _Word.YES])
)
scalars = st.one_of(plain, plain, plain, long_texts, st.none(), st.builds(_Thing))
homogeneous = st.one_of(
    *(st.lists(kind, max_size=5).map(tuple) for kind in (st.text(max_size=5), ints, floats, st.booleans()))
)
values = st.recursive(
    st.one_of(scalars, scalars, homogeneous),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.one_of(texts, st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)
keys = st.one_of(st.sampled_from(["http.route", "flask.g.user_id", "k", "é"]), st.text(min_size=1, max_size=150), texts)
attributes = st.dictionaries(keys, values, max_size=6)
maybe_attributes = st.one_of(st.none(), attributes)
states = st.lists(
    st.tuples(st.from_regex("[a-z][a-z0-9]{0,5}", fullmatch=True), st.text("ab c=", min_size=1, max_size=9))
)
contexts = st.builds(
    SpanContext,
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    st.sampled_from([TraceFlags(0), TraceFlags(1), TraceFlags(255)]),
    st.one_of(st.none(), states.map(TraceState)),
)
times = st.integers(0, 2**64 - 1)
statuses = st.one_of(
    st.just(Status()), st.just(Status(StatusCode.OK)), texts.map(lambda text: Status(StatusCode.ERROR, text))
)
kinds = st.sampled_from(list(SpanKind))
resources = st.builds(Resource, st.dictionaries(st.sampled_from(["service.name", "a"]), st.text(max_size=3)), texts)
scopes = st.builds(
    InstrumentationScope,
    st.sampled_from(["a", "b"]),
    st.one_of(st.none(), st.just("1.0")),
    st.one_of(st.none(), st.just("https://schema")),
    st.one_of(st.none(), st.dictionaries(st.sampled_from("xy"), st.integers(0, 3), max_size=2)),
)


few = st.one_of(st.none(), st.integers(1, 3))
limits = st.builds(SpanLimits, few, few, few, max_attribute_length=st.sampled_from([None, 4]))
contents = st.fixed_dictionaries(
    {
        "resource": resources,
        "limits": limits,
        "scope": st.tuples(st.just("a"), st.sampled_from([None, "1"]), st.sampled_from([None, "s"])),
        "parent": st.one_of(st.none(), contexts),
        "name": texts,
        "kind": kinds,
        "attributes": attributes,
        "links": st.lists(st.builds(Link, contexts, attributes), max_size=3),
        "start_time": times,
        "later": attributes,
        "events": st.lists(st.tuples(texts, attributes, times), max_size=3),
        "status": statuses,
        "end_time": times,
    }
)


def span_of(content: dict[str, Any]) -> ReadableSpan:
    """A span as applications make them, with limits that some of it goes beyond."""
    provider = TracerProvider(resource=content["resource"], span_limits=content["limits"], shutdown_on_exit=False)
    parent = content["parent"]
    span: Any = provider.get_tracer(*content["scope"]).start_span(
        content["name"],
        set_span_in_context(NonRecordingSpan(parent)) if parent is not None else None,
        **{name: content[name] for name in ("kind", "attributes", "links", "start_time")},
    )
    for key, value in content["later"].items():
        span.set_attribute(key, value)
    for event in content["events"]:
        span.add_event(*event)
    span.set_status(content["status"])
    span.end(content["end_time"])
    found: ReadableSpan = span
    return found


@st.composite
def readable_spans(draw: st.DrawFn) -> ReadableSpan:
    """A span that somebody has put together: nothing has looked at what is in it."""
    held = draw(attributes)
    return ReadableSpan(
        draw(texts),
        draw(contexts),
        draw(st.one_of(st.none(), contexts)),
        draw(resources),
        draw(st.sampled_from([held, BoundedAttributes(1, {"a": 1, "b": 2})])),
        [
            Event(draw(texts), draw(st.one_of(st.none(), attributes)), draw(times))
            for _ in range(draw(st.integers(0, 2)))
        ],
        [Link(context, draw(st.one_of(st.none(), attributes))) for context in draw(st.lists(contexts, max_size=2))],
        draw(kinds),
        status=draw(st.one_of(statuses, st.none())),  # type: ignore[arg-type]  # the encoder asks for it
        start_time=draw(st.one_of(st.none(), times)),
        end_time=draw(st.one_of(st.none(), times)),
        instrumentation_scope=draw(st.one_of(st.none(), scopes)),
    )


batches = st.lists(st.one_of(contents, readable_spans()), max_size=6)
