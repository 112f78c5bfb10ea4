"""Who sends what waits in an outbox, so that sending can begin before there is anything new to send."""

from __future__ import annotations

import weakref
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from flask_chest_otel._guard import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["applications", "exporters", "start"]


class Sender(Protocol):
    """An exporter with an outbox, or an application that will have one."""

    def start_sending(self) -> None:
        """Begin to send in this process, unless it has begun, or nothing is to be sent."""


exporters: weakref.WeakSet[Sender] = weakref.WeakSet()
"""Exporters with an outbox, whoever has made them."""

applications: weakref.WeakSet[Sender] = weakref.WeakSet()
"""Those whose exporters are made with the first request."""


def start(*senders: Iterable[Sender]) -> None:
    """Begin to send in this process, also what earlier processes have left.

    To be called in the process's main thread: under gevent, threads that begin elsewhere may never run.
    """
    for sender in chain(*map(list, senders)):
        with guarded("starting to send"):
            sender.start_sending()
