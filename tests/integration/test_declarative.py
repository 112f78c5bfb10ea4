"""Declarative configuration (`OTEL_CONFIG_FILE`), in the environment that has `opentelemetry-configuration`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_chest_otel import trace_id_for
from tests.backends.otlp_receiver import OtlpReceiver
from tests.integration.zero_code.served import get, serve

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("opentelemetry.configuration", reason="runs in an environment of its own: make test-declarative")

CONFIGURATION = """\
file_format: "1.0-rc.1"
resource:
  attributes:
    - name: service.name
      value: declared
propagator:  # without one, upstream's Flask instrumentation answers 500
  composite:
    - tracecontext:
    - baggage:
tracer_provider:
  processors:
    - batch:
        schedule_delay: 200
        exporter:
          otlp_http:
            endpoint: {url}/v1/traces
meter_provider:
  readers:
    - periodic:
        interval: 500
        exporter:
          otlp_http:
            endpoint: {url}/v1/metrics
instrumentation/development:
  python:
    flask_chest:
      tracked_vars: {tracked}
"""
FLASK_RUN = (
    "opentelemetry-instrument",
    "flask",
    "--app",
    "plain_app",
    "run",
    "--port",
    "{port}",
    "--no-debugger",
    "--no-reload",
)


@pytest.mark.parametrize("tracked", ["[user_id, cart_total]", "{GET: [user_id, cart_total]}", "user_id,cart_total"])
def test_options_come_from_the_file(tmp_path: Path, tracked: str) -> None:
    """What to track stands in the file; spans and metrics go where the file says."""
    with OtlpReceiver() as receiver:
        file = tmp_path / "otel.yaml"
        file.write_text(CONFIGURATION.format(url=receiver.url, tracked=tracked))
        with serve(FLASK_RUN, receiver.url, OTEL_CONFIG_FILE=str(file), FLASK_CHEST_TRACKED_VARS="nothing") as url:
            assert get(f"{url}/cart/7", X_Request_ID="r-17") == 200
            span = receiver.wait_for_spans(1)[0]
            point = receiver.wait_for_metric("flask.g.cart_total")[-1]
    assert span["resource"]["service.name"] == "declared"
    assert span["attributes"]["flask.g.user_id"] == "u1"
    assert span["trace_id"] == trace_id_for("r-17")
    assert point["sum"] == 7.5
