"""A real threaded server: what concurrent requests set is never mixed up."""

from __future__ import annotations

import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from flask import g, request, stream_with_context
from werkzeug.serving import make_server

from flask_chest_otel import TrackedVar, current_request_id, trace_id_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Put, Rig

REQUESTS = 240


def test_eight_threads(rig: Rig, put: Put) -> None:
    """Each record, span and answer belongs to its own request; sums are exact."""
    app = rig.plain()

    @app.route("/<int:number>")
    def view(number: int) -> str:
        g.n = number
        g.who = f"u{number}"
        time.sleep(0.002)
        if number % 7 == 0:
            raise RuntimeError
        return f"{current_request_id()} {g.who}"

    @app.route("/stream/<int:number>")
    def stream(number: int) -> Iterator[str]:
        g.n, g.who = number, f"u{number}"

        def parts() -> Iterator[str]:
            yield request.headers["X-Request-ID"]
            time.sleep(0.002)
            yield f" {g.who}"

        return stream_with_context(parts())

    records = put(app, tracked_vars=[TrackedVar("n", metric="counter"), "who"])
    server = make_server("127.0.0.1", 0, app, threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()

    def ask(number: int) -> str:
        path = f"stream/{number}" if number % 3 == 0 else str(number)
        url = f"http://127.0.0.1:{server.port}/{path}"
        asked = urllib.request.Request(url, headers={"X-Request-ID": f"r{number}"})
        try:
            with urllib.request.urlopen(asked) as response:
                text: str = response.read().decode()
                return text
        except urllib.error.HTTPError as error:
            error.close()
            return "failed"

    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(REQUESTS)))
    finally:
        server.shutdown()
        serving.join()
        server.server_close()

    expected = ["failed" if number % 7 == 0 and number % 3 else f"r{number} u{number}" for number in range(REQUESTS)]
    assert answers == expected
    assert len(records) == len(rig.servers()) == REQUESTS
    for record in records:
        number = record.variables["n"]
        assert record.variables["who"] == f"u{number}"
        assert record.request_id == f"r{number}"
        assert record.trace_id == trace_id_for(f"r{number}")
    for span in rig.servers():
        assert (span.attributes or {})["flask.request_id"] == f"r{rig.tracked(span)['n']}"
    assert sum(point.value for point in rig.points("flask.g.n")) == sum(range(REQUESTS))
