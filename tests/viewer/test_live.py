"""New requests as they come, from a real server."""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._viewer import live
from tests.viewer.conftest import record_of, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.viewer.conftest import Served


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than once a second."""
    monkeypatch.setattr(live, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(live, "SIGN_OF_LIFE_ROUNDS", 10)


@contextmanager
def listening(served: Served, **headers: str) -> Iterator[Iterator[tuple[str, str]]]:
    """Events of the page as they come: ids and rows; signs of life as two empty texts."""
    with (
        served.session() as session,
        session.get(f"{served.url}/live", headers=headers, stream=True, timeout=10) as answer,
    ):
        lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
        yield _events(lines)


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith("id: "):
            yield line[4:], json.loads(next(lines).removeprefix("data: "))
        elif line.startswith(":"):
            yield "", ""


def test_what_ends_last_comes_last(serve: Callable[[Path], Served], tmp_path: Path) -> None:
    """A request that took long is shown when it ends, though others that began after it were shown before."""
    path = write(tmp_path / "store.sqlite3", [record_of(1, 0.5)])
    with listening(serve(path)) as events:
        first, row = next(events)
        assert "r-1" in row
        write(path, [record_of(2, 0.1)])
        second, row = next(events)
        assert "r-2" in row
        write(path, [record_of(3, 0.3)])
        third, row = next(events)
        assert "r-3" in row
        # Each once, and who comes back goes on after the newest.
        assert next(events) == ("", "")
        assert first < second == third


def test_who_comes_back_goes_on(serve: Callable[[Path], Served], tmp_path: Path) -> None:
    """A browser that has lost the connection is not told again what it had."""
    path = write(tmp_path / "store.sqlite3", [record_of(1, 0.5), record_of(2, 0.4)])
    served = serve(path)
    with listening(served) as events:
        next(events)
        newest, _ = next(events)
    with listening(served, **{"Last-Event-ID": newest}) as events:
        assert next(events) == ("", "")


def test_a_store_made_anew(serve: Callable[[Path], Served], tmp_path: Path) -> None:
    """While the store is gone nothing happens; of the new one all comes."""
    path = write(tmp_path / "store.sqlite3", [record_of(1, 0.5)])
    with listening(serve(path)) as events:
        next(events)
        for one in tmp_path.iterdir():
            one.unlink()
        assert next(events) == ("", "")
        write(path, [record_of(2, 0.6)])
        assert "r-2" in "".join(row for _, row in islice(events, 20))
