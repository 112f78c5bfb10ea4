"""One application with other products that wrap Flask, put on in the order that the environment says."""

import os

import sentry_sdk
from flask import Flask, g
from flask_debugtoolbar import DebugToolbarExtension
from prometheus_flask_exporter import PrometheusMetrics


def sentry(_app):
    """Sentry's SDK wraps Flask itself; what it would send goes nowhere."""
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0, transport=lambda _event: None)


def make():
    """Make the application, whatever is on Flask by then."""
    app = Flask(__name__)
    app.config.update(SECRET_KEY="for the test", DEBUG_TB_ENABLED=True, DEBUG_TB_INTERCEPT_REDIRECTS=False)
    return app


ORDER = os.environ["ORDER"].split()
if "sentry" in ORDER[:1]:
    sentry(None)
app = make()
STEPS = {
    "sentry": sentry,
    "prometheus": PrometheusMetrics,
    "toolbar": DebugToolbarExtension,
}
for name in ORDER[1:] if ORDER[0] == "sentry" else ORDER:
    STEPS[name](app)


@app.get("/orders/<int:number>")
def show(number):
    """Show one order."""
    g.number = number
    if number == 500:
        raise RuntimeError("the view broke")
    return f"order {number}"
