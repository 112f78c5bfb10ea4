"""New requests, told to a browser as they come into the store (server-sent events)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from flask_chest_otel._store.reader import StoreReadError, read_store
from flask_chest_otel._viewer.requests import newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_chest_otel._store.reader import StoredRequest
    from flask_chest_otel._viewer.filters import Filter

__all__ = ["events"]

LOOK_EVERY_S = 1.0
AT_ONCE = 50
SIGN_OF_LIFE_ROUNDS = 15
"""After so many looks without news a comment is sent: only so a server notices that the browser has gone."""


def events(path: Path, given: Filter, after: str, show: Callable[[StoredRequest], str]) -> Iterator[str]:
    """One event for each new request, with its key as id and its row as data.

    Args:
        path: The store.
        given: Which requests.
        after: Key of the newest request that the browser shows; keys sort by time.
        show: Makes the row.
    """
    yield "retry: 2000\n\n"
    quiet = 0
    while True:
        try:
            with read_store(path) as reader:
                found = [row for row in newest(reader, given, "", AT_ONCE) if row.key > after]
        except StoreReadError:
            found = []  # made anew, perhaps; the page itself says what is wrong
        for row in reversed(found):
            after = row.key
            yield f"id: {row.key}\ndata: {json.dumps(show(row))}\n\n"
        quiet = 0 if found else quiet + 1
        if quiet >= SIGN_OF_LIFE_ROUNDS:
            quiet = 0
            yield ": nothing new\n\n"
        time.sleep(LOOK_EVERY_S)
