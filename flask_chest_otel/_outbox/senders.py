"""All exporters and applications that send from an outbox, so that sending can begin before they have new batches."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Protocol

from flask_chest_otel._base.weak import WeakObjects
from flask_chest_otel._guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["applications", "exporters", "start"]


class Sender(Protocol):
    """An exporter with an outbox, or an application that will have one."""

    def start_sending(self) -> None:
        """Begin to send in this process; do nothing if sending has begun, or if nothing is to be sent."""


exporters: WeakObjects[Sender] = WeakObjects()
"""Exporters with an outbox: those made here, and those made by OpenTelemetry's own set-up."""

applications: WeakObjects[Sender] = WeakObjects()
"""Applications, whose exporters are made with the first request."""


def start(*senders: Iterable[Sender]) -> None:
    """Begin to send in this process, including batches that earlier processes left.

    Call it in the process's main thread: under gevent, threads that are started in another thread may never run.
    """
    for sender in chain(*map(list, senders)):
        with guarded("starting to send"):
            sender.start_sending()
