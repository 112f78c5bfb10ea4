"""Adds fields of the typed context to outgoing calls, as W3C baggage, when an instrumented client injects headers.

The only hook that such clients have is OpenTelemetry's global propagator. This module wraps it, once per process and
only where an application propagates fields. Outside of that application's requests the wrapper adds nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import current_app, has_request_context
from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import Setter, TextMapPropagator, default_getter, default_setter

from flask_chest_otel._base.weak import WeakObjects
from flask_chest_otel._context import baggage, bound_baggage
from flask_chest_otel._context.bound_baggage import BoundBaggage
from flask_chest_otel._guard import Refusal, count_refusal, guarded

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from opentelemetry.context import Context
    from opentelemetry.propagators.textmap import CarrierT, Getter

    from flask_chest_otel._context.typed import TypedContext

__all__ = ["FieldsPropagator", "Rule", "find_with", "install", "uninstall"]

_HOSTS = ("server.address", "net.peer.name")  # HTTP semantic conventions: the stable name, and the one before it
_URLS = ("url.full", "http.url")


class Rule:
    """The fields that one application sends to certain hosts only.

    Attributes:
        names: The names of the fields.
        hosts: The hosts that get them.
    """

    def __init__(self, names: tuple[str, ...], hosts: tuple[str, ...] | None) -> None:
        """Store both. The rule applies from :func:`install` on, as long as there is a reference to it."""
        self.names = names
        self.hosts = hosts or ()


_rules: WeakObjects[Rule] = WeakObjects()


_find: Callable[[Flask], TypedContext | None] | None = None


def find_with(find: Callable[[Flask], TypedContext | None]) -> None:
    """Set the function that finds the typed context of an application; this room does not know where it is kept."""
    global _find  # noqa: PLW0603 - set when the package is loaded
    _find = find


def install(rule: Rule | None = None) -> None:
    """Wrap the global propagator unless it is wrapped; with a ``rule`` for certain hosts, HTTP connections as well."""
    if rule is not None and rule.hosts:
        _rules.add(rule)
        bound_baggage.install()
    if isinstance(propagate.get_global_textmap(), FieldsPropagator):
        return
    with _installing:
        current = propagate.get_global_textmap()
        if not isinstance(current, FieldsPropagator):
            propagate.set_global_textmap(FieldsPropagator(current))


def uninstall() -> None:
    """Restore the global propagator, unless other code has wrapped ours."""
    _rules.clear()
    bound_baggage.uninstall()
    with _installing:
        current = propagate.get_global_textmap()
        if isinstance(current, FieldsPropagator):
            propagate.set_global_textmap(current.inner)


_installing = threading.Lock()


class FieldsPropagator(TextMapPropagator):
    """Wraps another propagator and adds fields of the running request's typed context to the baggage header.

    Attributes:
        inner: The wrapped propagator.
    """

    def __init__(self, inner: TextMapPropagator) -> None:
        self.inner = inner

    @property
    def fields(self) -> set[str]:
        """The names of the headers that ``inject`` may set."""
        return {*self.inner.fields, baggage.HEADER}

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Extract as the wrapped propagator does; the typed context reads its fields itself when it is made."""
        return self.inner.extract(carrier, context, getter=getter)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Inject as the wrapped propagator does, with the fields added to its baggage."""
        entries = _leaving(context)
        if not entries:
            self.inner.inject(carrier, context, setter=setter)
            return
        held = _HeldBaggage(setter)
        self.inner.inject(carrier, context, setter=held)
        with guarded("propagate"):
            key, there = (baggage.HEADER, held.text) if held.text is not None else _set_before(carrier)
            text, left_out = baggage.written(there, entries)
            if text or (there and held.text is None):
                setter.set(carrier, key, _bound(text, entries))
            for name in left_out:
                count_refusal(
                    Refusal.BAGGAGE,
                    f"leaving {name}: no room",
                    "the field %s is not sent: the baggage would be too long",
                    name,
                )


class _HeldBaggage(Setter[object]):
    """A setter that sets every header except the baggage, and keeps the baggage for :meth:`FieldsPropagator.inject`."""

    def __init__(self, setter: Setter[Any]) -> None:
        self._setter = setter
        self.text: str | None = None

    def set(self, carrier: object, key: str, value: str) -> None:
        if key.lower() == baggage.HEADER:
            self.text = value
        else:
            self._setter.set(carrier, key, value)


def _bound(text: str, entries: Mapping[str, str | None]) -> str:
    """The baggage header's value. A client that is redirected to a host that is not listed drops our entries."""
    hosts = getattr(entries, "hosts", ())
    if not hosts:
        return text
    elsewhere, _ = baggage.written(text, dict.fromkeys(entries))
    return BoundBaggage.of(text, elsewhere, lambda host: _is_among(host, hosts))


class _Entries(dict[str, "str | None"]):
    """The entries for an outgoing call, with the hosts that may get them.

    Attributes:
        hosts: The hosts; empty: all hosts.
    """

    hosts: tuple[str, ...] = ()


@guarded("propagate")
def _leaving(context: Context | None) -> Mapping[str, str | None] | None:
    """The entries to set; ``None`` as value removes an entry. ``None``: leave the baggage as it is."""
    if not has_request_context():
        return _held_back(context)
    typed = _find(current_app) if _find is not None else None
    if typed is None or not typed.propagates:
        return None
    names, hosts = typed.names, typed.hosts
    host = _host(context) if hosts else None
    if hosts and host is None:
        count_refusal(
            Refusal.BAGGAGE,
            "leaving without a host",
            "fields are not sent: with propagate_to, the client's span has to say whom it calls, and it is not recorded"
            " (no tracer provider is set up, or it was sampled out)",
        )
    if hosts and not _is_among(host, hosts):
        # Remove the entries: OpenTelemetry would pass on the baggage that arrived, to every host.
        return dict.fromkeys(names)
    fields = typed.leaving()
    if fields is None:
        return None
    entries = _Entries((name, fields.get(name)) for name in names)
    entries.hosts = hosts or ()
    return entries


def _held_back(context: Context | None) -> Mapping[str, None] | None:
    """The entries to remove outside of a request.

    In a streamed response and in threads, OpenTelemetry's context may still hold the baggage that a request received.
    """
    rules = list(_rules)
    if not rules:
        return None
    host = _host(context)
    return {name: None for rule in rules if not _is_among(host, rule.hosts) for name in rule.names}


def _is_among(host: str | None, hosts: tuple[str, ...]) -> bool:
    found = (host or "").lower().rstrip(".")
    return any(found.endswith(one[1:]) if one.startswith("*") else found == one for one in hosts)


def _host(context: Context | None) -> str | None:
    """The host that the current client span is about to call, where its instrumentation has set it; else ``None``."""
    span = trace.get_current_span(context)
    if getattr(span, "kind", None) is not trace.SpanKind.CLIENT:
        return None  # server.address of a server span is our own address
    attributes: Mapping[str, object] = getattr(span, "attributes", None) or {}
    named = next((str(attributes[name]) for name in _HOSTS if attributes.get(name)), None)
    url = next((str(attributes[name]) for name in _URLS if attributes.get(name)), "")
    return named or urlsplit(url).hostname


def _set_before(carrier: object) -> tuple[str, str]:
    """The baggage that the application, or an earlier try of the same call, has set; and the header's spelling."""
    if isinstance(carrier, Mapping):
        for key, value in carrier.items():
            if isinstance(key, str) and key.lower() == baggage.HEADER and isinstance(value, str):
                return key, value
    return baggage.HEADER, ""
