"""An application of flask-cloudwatch-metric, moved: the collector has the credentials, and publishes what is added."""

from __future__ import annotations

import time

from flask import Flask, abort

from flask_chest_otel import FlaskChest, count_failures, count_requests

app = Flask(__name__)
reporter = FlaskChest(app)


@app.route("/")
@count_requests(dimensions={"Resource": "IndexPage"})
@count_failures(dimensions={"Resource": "IndexPage"})
def main() -> tuple[str, int]:
    """Measure something, in the words of CloudWatch."""
    begun = time.perf_counter()
    reporter.add_metric(metric_name="ItemsShown", value=3, unit="Count", dimensions=[])
    elapsed = time.perf_counter() - begun
    reporter.add_metric("Latency", elapsed, unit="Seconds", dimensions=[{"Name": "Queue", "Value": "mail"}])
    return "Hello, World!", 200


@app.route("/missing")
@count_failures
def missing() -> str:
    """An error of the client's, also where an exception says so."""
    abort(404)
