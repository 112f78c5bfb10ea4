"""Sends new requests to a browser as the store gets them (server-sent events)."""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from flask_chest_otel._store.reader import StoreReadError, read_store
from flask_chest_otel._viewer.requests import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_chest_otel._store.reader import StoredRequest, StoreReader, Wanted
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["events"]

LOOK_EVERY_S = 1.0
AT_ONCE = 50
LOOKED_AT = 1000
LOOK_BACK_NS = 60 * 10**9
"""How far before the newest request each look begins, nanoseconds.

A request is stored when it ends, so one that runs long comes after others that began later.
"""

SIGN_OF_LIFE_ROUNDS = 15
"""Looks without a new request after which a comment is sent: a server notices a lost browser only by sending."""


def events(path: Path, given: Filter, after: str, show: Callable[[StoredRequest], str]) -> Iterator[str]:
    """Yield an event for each new request: its data is the row, and its id the newest key that was sent.

    Args:
        path: The store.
        given: Which requests to send.
        after: Key of the newest request that the browser has; keys sort by time.
        show: Makes the row of a request.
    """
    yield "retry: 2000\n\n"
    news = _News(given, after)
    quiet = 0
    while True:
        try:
            with read_store(path) as reader:
                found = news.look(reader)
        except StoreReadError:
            found = []  # the store may be in the middle of being replaced; the page itself reports a broken one
        for row in reversed(found):
            after = max(after, row.key)
            yield f"id: {after}\ndata: {json.dumps(show(row))}\n\n"
        quiet = 0 if found else quiet + 1
        if quiet >= SIGN_OF_LIFE_ROUNDS:
            quiet = 0
            yield ": nothing new\n\n"
        time.sleep(LOOK_EVERY_S)


class _News:
    """Finds the requests that a store has got since the last look."""

    def __init__(self, given: Filter, after: str) -> None:
        self._given = given
        self._after = after
        self._seen: set[str] | None = None

    def look(self, reader: StoreReader) -> list[StoredRequest]:
        """Return new requests, those that began last first."""
        keys = deque((one.key for one in reader.facts(self._wanted())), LOOKED_AT)
        seen = self._seen if self._seen is not None else {key for key in keys if key <= self._after}
        new = [key for key in keys if key not in seen]
        self._seen = {*keys}
        self._after = max((self._after, *keys))
        rows = [one.request for key in reversed(new[-AT_ONCE:]) for one in reader.request(key, 1)]
        return [row for row in rows if self._given.has(row)]

    def _wanted(self) -> Wanted:
        wanted, newest = self._given.wanted, moment(self._after)
        if newest is None:
            return wanted
        return replace(wanted, since_unix_ns=max(wanted.since_unix_ns or 0, newest - LOOK_BACK_NS))
