"""Our encoder of log events against OTLP's own messages: what it writes says the same."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk.resources import Resource

from flask_chest_otel._otlp import events as module
from flask_chest_otel._otlp.events import EventEncoder
from flask_chest_otel._otlp.logs import event_message
from flask_chest_otel._values.log_event import ERROR, INFO, LogEvent
from flask_chest_otel.names import SCOPE
from tests.unit.export.any_span import attributes, texts

thorough = settings(max_examples=int(os.environ.get("CHEST_EXAMPLES", "60")))
"""Set the variable to look longer."""


def hexadecimal(size: int) -> st.SearchStrategy[str | None]:
    return st.one_of(st.none(), st.just(""), st.binary(min_size=size, max_size=size).map(bytes.hex))


events = st.builds(
    LogEvent,
    texts,
    st.integers(0, 2**64 - 1),
    st.sampled_from([INFO, ERROR]),
    hexadecimal(16),
    hexadecimal(8),
    st.booleans(),
    texts,
    attributes,
)


def packed(message: Any) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))


@pytest.mark.slow
@given(st.lists(events, max_size=4))
@thorough
def test_events(given_events: list[LogEvent]) -> None:
    """Whatever is in them, the decoded messages are those that OTLP's own classes make."""
    encoder = EventEncoder(Resource({"service.name": "shop"}), lambda resource: resource.attributes.add(key="k"))
    count, body = encoder.encode(given_events)
    (group,) = ExportLogsServiceRequest.FromString(body).resource_logs
    (scoped,) = group.scope_logs
    assert [one.key for one in group.resource.attributes] == ["service.name", "k"]
    assert scoped.scope.name == SCOPE
    assert count == len(given_events)
    assert [*map(packed, scoped.log_records)] == [packed(event_message(event)) for event in given_events]


def test_usual_events_are_written_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No event with values of the usual kinds is made as a message."""
    monkeypatch.setattr(module, "event_message", None)
    said = {"t": "text", "é": "€", "i": -1, "f": 0.5, "b": True, "l": ("a", "b"), "n": (1, 2)}
    event = LogEvent("e", 1, INFO, "ab" * 16, "cd" * 8, sampled=True, body="GET / 200", attributes=said)
    assert EventEncoder(Resource({}), lambda _resource: None).encode([event])[0] == 1
