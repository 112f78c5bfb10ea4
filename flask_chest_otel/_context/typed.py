"""The typed context: one object of the application's own class for each request, and the fields that it propagates.

Received fields are read from the ``baggage`` header and not from OpenTelemetry's context. They are therefore there for
any value of ``OTEL_PROPAGATORS``, on excluded URLs, and in requests without a span.
"""

from __future__ import annotations

from contextvars import ContextVar
from types import NoneType
from typing import TYPE_CHECKING, Any, get_type_hints

from flask import has_request_context, request

from flask_chest_otel._context import baggage
from flask_chest_otel._guard import Refusal, count_refusal, guarded
from flask_chest_otel._request.lookup import current_request, present_request
from flask_chest_otel._values.convert import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask_chest_otel._request.live import LiveRequest
    from flask_chest_otel.config import ChestConfig

__all__ = ["TypedContext"]

_KEPT = "flask_chest_otel_context"
_ENVIRON_KEY = "HTTP_BAGGAGE"
_making: ContextVar[bool] = ContextVar("flask_chest_making_context", default=False)


class TypedContext:
    """Makes, fills and reads the typed contexts of one application.

    Attributes:
        propagates: Whether any field is sent with outgoing calls.
    """

    def __init__(self, config: ChestConfig) -> None:
        self._make = config.context
        self.names = config.propagate
        self.hosts = config.propagate_to
        self.propagates = config.enabled and bool(config.propagate)
        self._types: tuple[type, Mapping[str, object]] = (NoneType, {})

    def current(self) -> object:
        """The typed context of the running request; it is made on the first call.

        Raises:
            RuntimeError: The application has no typed context, or no request is running.
        """
        if self._make is None:
            raise RuntimeError("there is no typed context: give its class with FlaskChest(app, context=MyContext)")
        if not has_request_context():
            raise RuntimeError("there is no typed context outside of a request: ask for it in a view")
        # Keep the object with the request, not on g: an application context pushed outside shares g between requests.
        # Make it even where the request is not recorded: the application depends on it.
        http = present_request()
        kept = http.__dict__
        typed = kept.get(_KEPT)
        if typed is None:
            typed = kept[_KEPT] = self._made(self._make, http.environ)
            live = current_request()
            if live is not None:
                live.typed = typed
        return typed

    @guarded("typed context")
    def complete(self, live: LiveRequest) -> None:
        """At the end of a request: make the object if it was not made but a field was received, to record the field."""
        if live.typed is None and self._arriving(request.environ):
            self.current()

    def leaving(self) -> dict[str, str] | None:
        """The propagated fields of the running request: name to text. ``None`` while the object is being made.

        Raises:
            Exception: Code of the application's class raised it.
        """
        from flask_chest_otel._context.field_types import as_text  # noqa: PLC0415 - only where fields are sent

        if _making.get():
            return None  # the class calls another service while it makes the object
        typed = self.current()
        found = {}
        for name in self.names:
            try:
                text = as_text(getattr(typed, name, None))
            except Refused as refused:
                count_refusal(
                    Refusal.BAGGAGE,
                    f"leaving {name}: {refused.reason}",
                    "the field %s is not sent: %s",
                    name,
                    refused.reason,
                )
            else:
                if text is not None:
                    found[name] = text
        return found

    def _made(self, make: Callable[[], object], environ: Mapping[str, object]) -> object:
        token = _making.set(True)
        try:
            typed = make()
        finally:
            _making.reset(token)
        if self.propagates:
            self._receive(typed, environ)
        return typed

    @guarded("baggage")
    def _receive(self, typed: object, environ: Mapping[str, object]) -> None:
        from flask_chest_otel._context.field_types import as_type  # noqa: PLC0415 - only where fields are sent

        for name, text in self._arriving(environ).items():
            try:
                setattr(typed, name, as_type(text, self._type_of(type(typed), name)))
            except Refused as refused:
                count_refusal(
                    Refusal.BAGGAGE,
                    f"arriving {name}: {refused.reason}",
                    "%s in baggage is not taken: %s",
                    name,
                    refused.reason,
                )
            except Exception as error:  # noqa: BLE001 - a frozen class, a missing slot, or an error of a property
                kind = type(error).__name__
                count_refusal(
                    Refusal.BAGGAGE,
                    f"arriving {name}: {kind}",
                    "%s in baggage is not taken: setting it raised %s",
                    name,
                    kind,
                )

    def _arriving(self, environ: Mapping[str, Any]) -> dict[str, str]:
        header = environ.get(_ENVIRON_KEY)
        if not header:
            return {}
        if len(header) > baggage.MOST_BYTES:
            count_refusal(
                Refusal.BAGGAGE, "too long", "a baggage header of more than %d bytes is not read", baggage.MOST_BYTES
            )
            return {}
        return baggage.read(header, self.names)

    def _type_of(self, cls: type, name: str) -> object:
        if self._types[0] is not cls:
            self._types = (cls, _hints(cls))
        return self._types[1].get(name)


def _hints(cls: type) -> Mapping[str, object]:
    try:
        return get_type_hints(cls)
    except Exception as error:  # noqa: BLE001 - annotations may use names that only a type checker knows
        count_refusal(
            Refusal.BAGGAGE,
            f"types of {cls.__name__}",
            "values in baggage stay text, as the annotations of %r fail: %s",
            cls,
            error,
        )
        return {}
