"""The hooks for servers, as far as no server is needed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_worker_that_ends_without_the_interpreter_keeps_its_records(
    run_python: Callable[..., str], tmp_path: Path
) -> None:
    """What waits for the embedded store is written before a server lets the process go."""
    run_python(
        """
        import os, sys
        from flask import Flask, g
        from flask_chest_otel import FlaskChest
        from flask_chest_otel.servers import end_worker

        app = Flask("shop", instance_path=os.path.abspath("instance"))
        FlaskChest(app, tracked_vars=["n"])

        @app.route("/")
        def view():
            g.n = 1
            return "ok"

        for _ in range(20):
            app.test_client().get("/")
        end_worker()
        os._exit(0)
        """
    )
    (path,) = (tmp_path / "instance").glob("*.sqlite3")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM chest_requests").fetchone() == (20,)
