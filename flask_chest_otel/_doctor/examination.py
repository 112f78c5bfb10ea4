"""The parts of an examination, in their order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask_chest_otel._doctor import (
    entry_points,
    instrumentations,
    log_lines,
    probe,
    providers,
    servers,
    settings,
    silent,
)
from flask_chest_otel._doctor.part import Part, Row
from flask_chest_otel._lifecycle.state import state_of
from flask_chest_otel._otlp.endpoint import SIGNALS, problems

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
    parts = [settings.versions()]
    state = state_of(app)
    if state is None:
        parts[0].problems.append(NO_CHEST)
        others = (settings.environment, entry_points.part, servers.part)
        return [*parts, *(part(os.environ) for part in others), silent.part(app, None, None)]
    parts.append(settings.part(state))
    of_lines = log_lines.part(state)
    signals = SIGNALS if state.config.events != "none" else SIGNALS[:2]
    addresses = problems(os.environ, signals) if state.config.enabled and state.export.follows_environment() else []
    sending = send and state.config.enabled
    sent = None
    # One ear for both: the sender of the outbox begins in the first, with what waits there, and says a thing once.
    with probe.captured_warnings() as said:
        started = probe.start(app, state)
        if sending:
            sent = probe.send_probe(state, started, said, timeout_s)
    parts += [
        settings.environment(os.environ),
        providers.part(app, state),
        entry_points.part(os.environ),
        instrumentations.part(),
        servers.part(os.environ),
        of_lines,
    ]
    if sent is not None:
        parts.append(sent)
        # Ports and paths are customs: where everything gets through, there is nothing wrong with them.
        addresses = addresses if sent.problems else []
    else:
        parts[0].problems += [*started, *probe.advised(said)]
    parts[0].problems += addresses
    # After the probe, which may have left something there.
    store = getattr(state.export.store, "path", None)
    parts += [probe.inspect_storage(app, state), silent.part(app, state, store), probe.counters()]
    return parts
