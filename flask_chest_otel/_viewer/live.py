"""Sends new requests to a browser as the store gets them (server-sent events)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from flask_chest_otel._store.opening import StoreReadError
from flask_chest_otel._store.reader import read_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_chest_otel._store.answers import StoredRequest
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["events"]

LOOK_EVERY_S = 1.0
AT_ONCE = 50
LOOKED_THROUGH = 1000
"""Of the requests that came between two looks, in how many free text is looked for, at most."""

SIGN_OF_LIFE_ROUNDS = 15
"""Looks without a new request after which a comment is sent: a server notices a lost browser only by sending."""


def events(path: Path, given: Filter, after: str, show: Callable[[StoredRequest], str]) -> Iterator[str]:
    """Yield an event for each new request, in the order in which they came: its data is the row, and its id the key.

    Args:
        path: The store.
        given: Which requests to send.
        after: Key of the request after which others are new: the one that came last when the page was made.
        show: Makes the row of a request.
    """
    yield "retry: 2000\n\n"
    quiet = 0
    while True:
        try:
            found, after = _news(path, given, after)
        except StoreReadError:
            found = []  # the store may be in the middle of being replaced; the page itself reports a broken one
        for row in found:
            yield f"id: {row.key}\ndata: {json.dumps(show(row))}\n\n"
        quiet = 0 if found else quiet + 1
        if quiet >= SIGN_OF_LIFE_ROUNDS:
            quiet = 0
            yield ": nothing new\n\n"
        time.sleep(LOOK_EVERY_S)


def _news(path: Path, given: Filter, after: str) -> tuple[list[StoredRequest], str]:
    """Return the requests that have come since the last look, and the key after which the next look goes on."""
    with read_store(path) as reader:
        rows = reader.arrived(given.wanted, after, LOOKED_THROUGH if given.text else AT_ONCE)
        return [row for row in rows if given.has(row)][-AT_ONCE:], reader.last_arrived()
