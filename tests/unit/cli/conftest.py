"""A store with known requests, and ``flask chest`` on it."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.cli import FlaskGroup, ScriptInfo

from flask_chest_otel._cli import chest_cli
from flask_chest_otel._records.record import RequestRecord
from flask_chest_otel._store.store import STORE_FILENAME, EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

MINUTE_NS = 60 * 10**9

FLASK = FlaskGroup()
"""Flask's command line, once: it reads the entry points of everything that is installed."""
FLASK.add_command(chest_cli)


def _record(number: int, minutes_ago: float, **changes: Any) -> RequestRecord:
    values: dict[str, Any] = {
        "start_unix_ns": time.time_ns() - int(minutes_ago * MINUTE_NS),
        "duration_s": number / 100,
        "service": "shop",
        "request_id": f"r-{number}",
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "method": "GET",
        "route": "/cart/<int:cart_id>",
        "status": 200,
        "variables": {"user_id": "u1", "cart_total": 10.5 * number},
    }
    return RequestRecord(**{**values, **changes})


@pytest.fixture
def record() -> Callable[..., RequestRecord]:
    """Makes request ``number``, begun so many minutes ago; keywords change fields of it."""
    return _record


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """An application that uses no part of ours, with an instance folder of its own."""
    return Flask("shop", instance_path=str(tmp_path / "instance"))


@pytest.fixture
def fill(app: Flask) -> Callable[..., Path]:
    """Writes records to the application's store, and gives its path."""

    def write(*records: RequestRecord) -> Path:
        with closing(EmbeddedStore(f"{app.instance_path}/{STORE_FILENAME}")) as store:
            for one in records:
                store.put(one)
            assert store.flush(5)
            return store.path

    return write


@pytest.fixture
def shop(fill: Callable[..., Path]) -> Path:
    """The path of a store with five requests, the last one of this moment."""
    return fill(
        _record(1, 120),
        _record(2, 50, status=500),
        _record(3, 40, method="POST", variables={"user_id": "u2", "items": 3, "vip": True}),
        _record(4, 30, route=None, status=404, trace_id=None, span_id=None, variables={}),
        _record(5, 0, variables={"user_id": "u1", "cart_total": 1.5, "tags": ("a", "b")}),
    )


@pytest.fixture
def chest(app: Flask) -> Callable[..., Result]:
    """Runs ``flask chest …`` as Flask does, with the application at hand."""

    def run(*arguments: str, info: ScriptInfo | None = None, env: dict[str, str] | None = None) -> Result:
        info = info or ScriptInfo(create_app=lambda: app)
        done = app.test_cli_runner().invoke(FLASK, ["chest", *arguments], obj=info, env=env)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception  # a user would see a traceback
        return done

    return run


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A time zone in which it is noon, so that the last hours are of one day and are shown without a date."""
    hours = datetime.now(timezone.utc).hour - 12
    monkeypatch.setenv("TZ", f"TST{hours:+d}")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
