"""Makes the ``ChildSpan`` that a record keeps of a span: bounded, with cleaned texts and masked secrets."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import SpanKind, StatusCode

from flask_chest_otel._guard import report_error
from flask_chest_otel._records.record import ChildSpan, SpanEvent
from flask_chest_otel._request.shaped_spans import times_of
from flask_chest_otel._request.span_masking import SpanMasking, masked_urls
from flask_chest_otel._values.convert import Limits, Refused, to_attribute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.sdk.trace import Event, ReadableSpan

    from flask_chest_otel._request.span_masking import Masking
    from flask_chest_otel.config import ChestConfig

__all__ = ["DROPPED_ATTRIBUTES", "DROPPED_EVENTS", "MOST_ATTRIBUTES", "MOST_CHARS", "MOST_EVENTS", "SpanShape"]

MOST_ATTRIBUTES: Final = 32
"""Largest number of attributes that are kept of one span, and of one event."""

MOST_EVENTS: Final = 8
"""Largest number of events that are kept of one span: the first ones."""

MOST_CHARS: Final = 8192
"""Largest total of characters in the texts of one span, or of one event."""

DROPPED_ATTRIBUTES: Final = "dropped_attributes"
"""Attribute of a kept span or event: how many more attributes it had."""

DROPPED_EVENTS: Final = "dropped_events"
"""Attribute of the last kept event: how many more events the span had."""

_NAME_CHARS: Final = 255
_MOST_NAMES: Final = 1000
_PLAIN_INT: Final = 2**63
_MISSING: Final[Any] = object()
_KINDS: Final = {id(kind): kind.name.lower() for kind in SpanKind}  # by identity: another object may not be hashable
_INTERNAL: Final = "internal"
_NAMELESS: Final = "(without a name)"
_STATUSES: Final = {code: code.name.lower() for code in StatusCode}


class SpanShape:
    """Makes child spans for records, by an application's settings.

    Args:
        config: The application's settings.
    """

    def __init__(self, config: ChestConfig) -> None:
        self._limits = Limits(config.value_limit_chars, config.list_limit)
        self._masking = SpanMasking(config.query_text)
        self._maskings: dict[str, Masking | None] = {}

    def shaped(self, span: ReadableSpan) -> ChildSpan:
        """Return the ``ChildSpan`` for a span that has ended."""
        try:
            attributes = _attributes_of(span)
            kept, events = self._attributes(attributes, attributes), self._events(span.events, attributes)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("child span", error)
            kept, events = {}, ()
        parent, (begin, duration_ns) = span.parent, times_of(span)
        return ChildSpan(
            self._name(span),
            _KINDS.get(id(span.kind), _INTERNAL),
            f"{span.context.span_id:016x}",
            f"{parent.span_id:016x}" if parent is not None else None,
            begin,
            duration_ns / 1e9,
            _STATUSES[span.status.status_code],
            kept,
            events,
        )

    def _name(self, span: ReadableSpan) -> str:
        """The span's name; the SDK takes any object for one, such as a proxy that only works in the request."""
        try:
            return self._text(span.name)
        except Exception:  # noqa: BLE001 - the application's own code
            return _NAMELESS

    def _text(self, name: object) -> str:
        if type(name) is str and len(name) <= _NAME_CHARS and name.isprintable():
            return name
        return str(to_attribute(str(name)[:_NAME_CHARS], self._limits))

    def _events(self, events: Iterable[Event], of_span: Mapping[str, object]) -> tuple[SpanEvent, ...]:
        found = list(events)
        shaped = [
            SpanEvent(self._text(event.name), event.timestamp, self._attributes(dict(event.attributes or {}), of_span))
            for event in islice(found, MOST_EVENTS)
        ]
        if len(found) > MOST_EVENTS:
            last = shaped[-1]
            dropped = {DROPPED_EVENTS: len(found) - MOST_EVENTS}
            shaped[-1] = last._replace(attributes={**last.attributes, **dropped})
        return tuple(shaped)

    def _attributes(self, attributes: dict[str, Any], of_span: Mapping[str, object]) -> dict[str, object]:
        kept: dict[str, object] = {}
        chars, left = self._limits.chars, MOST_CHARS
        maskings = self._maskings
        for name, value in islice(attributes.items(), MOST_ATTRIBUTES):
            if left <= 0:
                break
            masking = maskings.get(name, _MISSING)
            if masking is _MISSING:
                masking = self._masking_of(name)
            kind = type(value)
            if masking is not None or not (
                (kind is str and len(value) <= chars and value.isprintable() and "://" not in value)
                or (kind is int and -_PLAIN_INT < value < _PLAIN_INT)
            ):
                value = self._value(masking, value, of_span, min(chars, left))  # noqa: PLW2901 - legal from here on
                if value is None:
                    continue
            left -= len(value) if kind is str else 8
            kept[self._text(name)] = value
        if len(kept) < len(attributes):
            kept[DROPPED_ATTRIBUTES] = len(attributes) - len(kept)
        return kept

    def _masking_of(self, name: str) -> Masking | None:
        found = self._masking.of(name)
        # The cache is bounded: an application may invent any number of names.
        if len(self._maskings) < _MOST_NAMES and len(name) <= _NAME_CHARS:
            self._maskings[name] = found
        return found

    def _value(self, masking: Masking | None, value: object, of_span: Mapping[str, object], chars: int) -> object:
        if type(value) is str:
            value = value[: self._limits.chars]
        value = masking(value, of_span) if masking is not None else masked_urls(value)
        try:
            return to_attribute(value, Limits(chars, self._limits.items))
        except Refused:
            return None


def _attributes_of(span: ReadableSpan) -> dict[str, object]:
    """A span's attributes as a plain dict, which is faster to read than the SDK's mapping."""
    found: Any = span.attributes
    copied: dict[str, object] = found.copy() if found else {}
    return copied
