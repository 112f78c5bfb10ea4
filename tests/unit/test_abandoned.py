"""Bodies that are dropped without being closed, by the garbage collector, in the middle of anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.backends.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

APPLICATION = """
    import gc, threading, time
    from flask import Flask, Response
    from werkzeug.test import EnvironBuilder
    from flask_chest_otel import FlaskChest

    app = Flask("streams")
    chest = FlaskChest(app)
    app.add_url_rule("/", "stream", lambda: Response(str(number) for number in range(3)))
    app.add_url_rule("/page", "page", lambda: "ok")

    def ask(path):
        return app(EnvironBuilder(path).get_environ(), lambda *_: None)

    def drop_many():
        for number in range(50):
            gc.set_threshold(100 + number * 41 % 900)  # somewhere else each time, also inside of a write
            body = ask("/")
            next(body)
            cycle = [body]
            cycle.append(cycle)
            del body, cycle
            ask("/page").close()

    threads = [threading.Thread(target=drop_many, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(25)
    assert not any(thread.is_alive() for thread in threads), "they wait for each other"
"""


@pytest.mark.parametrize("durability", ["batch", "request"])
@pytest.mark.parametrize("end", ["chest.force_flush(10)", "gc.collect()"], ids=["flushed", "ended"])
def test_nothing_hangs_and_nothing_is_lost(
    run_python: Callable[..., str], tmp_path: Path, durability: str, end: str
) -> None:
    """The spans of 200 dropped bodies, collected while other requests are written, all arrive."""
    environ = {"FLASK_CHEST_OUTBOX_DIR": str(tmp_path), "FLASK_CHEST_DURABILITY": durability, "NO_PROXY": "127.0.0.1"}
    with OtlpReceiver() as receiver:
        run_python(f"{APPLICATION}\n    {end}\n", {**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url})
        receiver.wait_for_spans(400)
        names = [span["name"] for span in receiver.spans()]
    assert (names.count("GET /"), names.count("GET /page")) == (200, 200)


def test_a_child_leaves_its_parents_alone(run_python: Callable[..., str], tmp_path: Path) -> None:
    """What was dropped before a fork is ended by the parent, once."""
    forks = """
    import os
    body = ask("/")
    cycle = [body]
    cycle.append(cycle)
    del body, cycle
    gc.collect()
    if not os.fork():
        ask("/page").close()
        chest.force_flush(10)
        os._exit(0)
    os.wait()
    """
    code = APPLICATION.replace("range(50)", "range(0)") + forks
    environ = {"FLASK_CHEST_OUTBOX_DIR": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    with OtlpReceiver() as receiver:
        run_python(code, {**environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url})
        receiver.wait_for_spans(2)
        assert sorted(span["name"] for span in receiver.spans()) == ["GET /", "GET /page"]
