"""The sample application of Flask-Chest, moved: only the import and the set-up of the chests are different.

Two service level indicators of one endpoint, to InfluxDB and SignalFx at once: total transactions (GET and POST), and
the average response time of POST requests. Tokens, addresses and buckets are the collector's business now.
"""

from __future__ import annotations

import time
from datetime import datetime

from flask import Flask, g

from flask_chest_otel import FlaskChest, flask_chest

app = Flask(__name__)

# Where there were clients of both back ends, there are names of collector targets.
chest_influxdb = "influxdb"
chest_signalfx = "signalfx"
FlaskChest(app, chests=[chest_influxdb, chest_signalfx])


def custom_request_id_generator() -> str:
    """The time of the request, as an id that sorts."""
    return datetime.now().strftime("%Y%m%d%H%M%S%f")  # noqa: DTZ005 - as it was


@app.route("/api-endpoint", methods=["GET", "POST"])
@flask_chest(
    chests=[chest_influxdb, chest_signalfx],
    tracked_vars={"GET": ["transaction"], "POST": ["transaction", "response_time"]},
    request_id_generator=custom_request_id_generator,
)
def index() -> str:
    """Do nothing, and measure it."""
    g.start = time.time()
    g.transaction = 1
    g.response_time = time.time() - g.start
    return "Hello, World!"
