"""The machine's clock is set while requests run: back by an hour, to 1970, and forward."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.backends.require import missing

pytestmark = pytest.mark.real

APPLICATION = """
    import json, os, sqlite3, sys
    from flask import Flask, g
    from flask_chest_otel import FlaskChest
    from flask_chest_otel.chests import SQLChest
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, chest = InMemorySpanExporter(), SQLChest(f"sqlite:///{sys.argv[2]}")
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    app = Flask(__name__)
    FlaskChest(app, tracked_vars=["a"], tracer_provider=provider, chests=[chest])

    @app.get("/")
    def view():
        g.a = 1
        with open(os.environ["FAKETIME_TIMESTAMP_FILE"], "w") as clock:
            clock.write(sys.argv[1])
        return "ok"

    assert app.test_client().get("/").status_code == 200
    assert chest.flush(20)
    (span,) = exporter.get_finished_spans()
    row = sqlite3.connect(sys.argv[2]).execute("SELECT time, duration_ms FROM chest_requests").fetchone()
    print(json.dumps([(span.end_time - span.start_time) / 1e9, *row]))
"""


def library() -> Path:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("libfaketime is not installed: apt-get install libfaketime")
    return found[0]


@pytest.mark.parametrize("jump", ["-1h", "-20000d", "+1h"])
def test_a_request_lasts_as_long_as_it_does(tmp_path: Path, jump: str) -> None:
    """Span and record have the time at which the request began, and a duration that no jump makes negative or long."""
    script, clock = tmp_path / "application.py", tmp_path / "clock"
    script.write_text(textwrap.dedent(APPLICATION))
    clock.write_text("+0")
    done = subprocess.run(
        [sys.executable, str(script), jump, str(tmp_path / "chest.sqlite3")],
        env={
            **os.environ,
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    span_s, began, record_ms = json.loads(done.stdout)
    assert 0 < span_s < 60
    assert 0 < record_ms < 60_000
    assert abs(datetime.fromisoformat(began.replace("Z", "+00:00")).timestamp() - time.time()) < 600
