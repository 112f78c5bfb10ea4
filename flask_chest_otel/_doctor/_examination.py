"""The parts of an examination, in their order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask_chest_otel._doctor import _entry_points, _probe, _providers, _servers, _settings, _silent
from flask_chest_otel._doctor._part import Part, Row
from flask_chest_otel._export._endpoint import problems
from flask_chest_otel._state import state_of

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["Part", "Row", "examine"]
NO_CHEST = (
    "this application has no FlaskChest: type FlaskChest(app) where it is made, "
    "or start it with opentelemetry-instrument"
)


def examine(app: Flask, *, send: bool, timeout_s: float) -> list[Part]:
    """Look at an application as it would be at its first request.

    Args:
        app: The application.
        send: Whether a span and a metric are sent through its exporters.
        timeout_s: How long they may take, seconds.
    """
    parts = [_settings.versions()]
    state = state_of(app)
    if state is None:
        parts[0].problems.append(NO_CHEST)
        others = (_settings.environment, _entry_points.part, _servers.part)
        return [*parts, *(part(os.environ) for part in others), _silent.part(app, None, None)]
    parts.append(_settings.part(state))
    addresses = problems(os.environ) if state.config.enabled and state.export.follows_environment() else []
    sending = send and state.config.enabled
    sent = None
    # One ear for both: the sender of the outbox begins in the first, with what waits there, and says a thing once.
    with _probe.heard() as said:
        started = _probe.start(app, state)
        if sending:
            sent = _probe.sent(state, started, said, timeout_s)
    parts += [
        _settings.environment(os.environ),
        _providers.part(app, state),
        _entry_points.part(os.environ),
        _servers.part(os.environ),
    ]
    if sent is not None:
        parts.append(sent)
        # Ports and paths are customs: where everything gets through, there is nothing wrong with them.
        addresses = addresses if sent.problems else []
    else:
        parts[0].problems += [*started, *_probe.advised(said)]
    parts[0].problems += addresses
    # After the probe, which may have left something there.
    store = getattr(state.export.store, "path", None)
    parts += [_probe.kept(app, state), _silent.part(app, state, store), _probe.counters()]
    return parts
