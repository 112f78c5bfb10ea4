"""All exporters and applications that send from an outbox, so that sending can begin before they have new batches."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from flask_chest_otel._base.weak import WeakObjects
from flask_chest_otel._guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["applications", "exporters", "quiet", "quietly", "start"]


class Sender(Protocol):
    """An exporter with an outbox, or an application that will have one."""

    def start_sending(self) -> None:
        """Begin to send in this process; do nothing if sending has begun, or if nothing is to be sent."""


class Exporter(Sender, Protocol):
    """An exporter with an outbox."""

    def fall_silent(self) -> None:
        """Neither keep nor send anything in this process from now on."""


exporters: WeakObjects[Exporter] = WeakObjects()
"""Exporters with an outbox: those made here, and those made by OpenTelemetry's own set-up."""

applications: WeakObjects[Sender] = WeakObjects()
"""Applications, whose exporters are made with the first request."""


quiet: ContextVar[bool] = ContextVar("flask_chest_quiet", default=False)
"""Whether exporters that are made now neither keep nor send anything."""


@contextmanager
def quietly() -> Iterator[None]:
    """Silence the exporters that there are, and those that are made meanwhile, for good."""
    for exporter in list(exporters):
        exporter.fall_silent()
    token = quiet.set(True)
    try:
        yield
    finally:
        quiet.reset(token)


def start(*senders: Iterable[Sender]) -> None:
    """Begin to send in this process, including batches that earlier processes left.

    Call it in the process's main thread: under gevent, threads that are started in another thread may never run.
    """
    for sender in chain(*map(list, senders)):
        with guarded("starting to send"):
            sender.start_sending()
