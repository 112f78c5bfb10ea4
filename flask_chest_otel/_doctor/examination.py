"""Runs all checks of the doctor, in the order in which their results are printed."""

from __future__ import annotations

import os
from contextlib import nullcontext
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
from flask_chest_otel._doctor.export_warnings import captured_warnings
from flask_chest_otel._doctor.part import Part, Row
from flask_chest_otel._lifecycle.state import state_of
from flask_chest_otel._otlp.endpoint import SIGNALS, problems
from flask_chest_otel._outbox.senders import quietly

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["Part", "Row", "examine", "examine_environment"]


def examine_environment() -> list[Part]:
    """Check what needs no application: this one could not be set up, and more than one thing may be wrong."""
    found = settings.environment(os.environ)
    found.problems += settings.unusable(os.environ)
    return [settings.versions(), found]


def examine(app: Flask, *, send: bool, timeout_s: float) -> list[Part]:
    """Check an application in the state that it has at its first request.

    Args:
        app: The application.
        send: Whether to send a span and a metric through its exporters.
        timeout_s: How long sending may take, seconds.

    Returns:
        One part for each kind of fact; problems are in the part that they belong to.
    """
    parts = [settings.versions()]
    state = state_of(app)
    if state is None:
        parts[0].problems.append(entry_points.no_chest(os.environ))
        others = (settings.environment, entry_points.part, servers.part)
        return [*parts, *(part(os.environ) for part in others), silent.part(app, None, None)]
    parts.append(settings.part(state, app))
    of_lines = log_lines.part(state, app)
    signals = SIGNALS if state.config.events != "none" else SIGNALS[:2]
    addresses = problems(os.environ, signals) if state.config.enabled and state.export.follows_environment() else []
    sending = send and state.config.enabled
    sent = None
    # One capture for both steps: the outbox worker begins to send in the first one, and logs each problem only once.
    with captured_warnings() as said:
        with nullcontext() if send else quietly():
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
        # Standard ports and paths are only conventions: if the probe arrives, another address is no problem.
        addresses = addresses if sent.problems else []
    else:
        parts[0].problems += [*started, *map(str, said)]
    parts[0].problems += addresses
    # Last, because a probe that could not be sent is now in the outbox.
    store = getattr(state.export.store, "path", None)
    parts += [probe.inspect_storage(app, state), silent.part(app, state, store), probe.counters()]
    return parts
