"""New requests as they come, from a real server."""

from __future__ import annotations

import html
import json
import re
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
def listening(served: Served, query: str = "", **headers: str) -> Iterator[Iterator[tuple[str, str]]]:
    """Events of the page as they come: ids and rows; signs of life as two empty texts."""
    with (
        served.session() as session,
        session.get(f"{served.url}/live{query}", headers=headers, stream=True, timeout=10) as answer,
    ):
        lines = answer.iter_lines(chunk_size=1, decode_unicode=True)
        yield _events(lines)


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line.startswith("id: "):
            yield line[4:], json.loads(next(lines).removeprefix("data: "))
        elif line.startswith(":"):
            yield "", ""


def _told(events: Iterator[tuple[str, str]]) -> tuple[str, str]:
    """The next request; a busy machine may give some signs of life before it."""
    return next(event for event in islice(events, 50) if event != ("", ""))


@pytest.mark.parametrize("took_minutes", [0.3, 2, 600])
def test_what_ends_last_comes_last(serve: Callable[[Path], Served], tmp_path: Path, took_minutes: float) -> None:
    """A request is shown when it ends, however long it took, though others that began after it were shown before."""
    path = write(tmp_path / "store.sqlite3", [record_of(1, 0.5)])
    with listening(serve(path)) as events:
        first, row = _told(events)
        assert "r-1" in row
        write(path, [record_of(2, 0.1)])
        second, row = _told(events)
        assert "r-2" in row
        write(path, [record_of(3, took_minutes, duration_s=took_minutes * 60)])
        third, row = _told(events)
        assert "r-3" in row
        # Each once.
        assert next(events) == ("", "")
        assert len({first, second, third}) == 3


def test_what_was_written_late_comes(serve: Callable[[Path], Served], tmp_path: Path) -> None:
    """Requests of an hour ago that could not be written before, and those of a clock that ran behind, are told, too."""
    path = write(tmp_path / "store.sqlite3", [record_of(1, 0)])
    with listening(serve(path)) as events:
        _told(events)
        write(path, [record_of(2, 60), record_of(3, 60 * 24), record_of(4, -60)])
        assert {"r-2" in row or "r-3" in row or "r-4" in row for _, row in (_told(events) for _ in range(3))} == {True}
        assert next(events) == ("", "")


def test_a_filter_holds_for_what_comes(serve: Callable[[Path], Served], tmp_path: Path) -> None:
    """Of what comes, those are told that the filter of the page is about, also by free text."""
    path = write(tmp_path / "store.sqlite3", [record_of(1, 1)])
    with listening(serve(path), "?q=status%3E%3D500+oops&after=0") as events:
        write(
            path,
            [record_of(2, 0, status=500), record_of(3, 0, path="/oops"), record_of(4, 9, status=500, path="/oops")],
        )
        _, row = _told(events)
        assert "r-4" in row
        assert next(events) == ("", "")


def test_the_page_says_where_to_go_on(serve: Callable[[Path], Served], tmp_path: Path) -> None:
    """What the table shows is not told again, though the newest there is not the one that was written last."""
    path = write(tmp_path / "store.sqlite3", [record_of(1, 0.5)])
    write(path, [record_of(2, 30, duration_s=1790)])
    served = serve(path)
    with served.session() as session:
        page = session.get(f"{served.url}/requests", timeout=10).text
    (address,) = re.findall(r'data-live="([^"]+)"', page)
    with listening(served, f"?{html.unescape(address).partition('?')[2]}") as events:
        assert next(events) == ("", "")
        write(path, [record_of(3, 90)])
        assert "r-3" in _told(events)[1]


def test_who_comes_back_goes_on(serve: Callable[[Path], Served], tmp_path: Path) -> None:
    """A browser that has lost the connection is not told again what it had."""
    path = write(tmp_path / "store.sqlite3", [record_of(1, 0.5), record_of(2, 0.4)])
    served = serve(path)
    with listening(served) as events:
        _told(events)
        newest, _ = _told(events)
    with listening(served, **{"Last-Event-ID": newest}) as events:
        assert next(events) == ("", "")


def test_a_store_made_anew(serve: Callable[[Path], Served], tmp_path: Path) -> None:
    """While the store is gone nothing happens; of the new one all comes."""
    path = write(tmp_path / "store.sqlite3", [record_of(1, 0.5)])
    with listening(serve(path)) as events:
        _told(events)
        for one in tmp_path.iterdir():
            one.unlink()
        assert next(events) == ("", "")
        write(path, [record_of(2, 0.6)])
        assert "r-2" in "".join(row for _, row in islice(events, 20))
