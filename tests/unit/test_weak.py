"""Collections that keep no object alive."""

from __future__ import annotations

import gc
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._base.weak import WeakObjects

if TYPE_CHECKING:
    from collections.abc import Iterator


class Thing:
    """Equal to all others of its kind."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing)

    def __hash__(self) -> int:
        return 0


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads that take turns after each few steps."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_what_nobody_else_keeps_leaves() -> None:
    """Equal objects are two; one that is added twice is there once; one that goes leaves."""
    found: WeakObjects[Thing] = WeakObjects()
    one, other = Thing(), Thing()
    for thing in (one, other, one):
        found.add(thing)
    assert sorted(map(id, found)) == sorted([id(one), id(other)])
    del thing, other
    gc.collect()
    assert [id(thing) for thing in found] == [id(one)]
    found.clear()
    assert list(found) == []


@pytest.mark.usefixtures("impatient")
def test_threads_add_while_others_read() -> None:
    """Whoever reads meanwhile gets what is there, and no error."""
    found: WeakObjects[Thing] = WeakObjects()
    kept = [Thing() for _ in range(20_000)]
    found.add(kept[0])

    def add() -> None:
        for thing in kept:
            found.add(thing)

    adding = threading.Thread(target=add)
    adding.start()
    while adding.is_alive():
        assert next(iter(found)) is kept[0]
        sum(1 for _ in found)
    assert len(list(found)) == len(kept)
