"""A small shop that shows what tracked variables of ``flask.g`` become.

Views do what views do; the only line that telemetry needs beside the decorators is ``FlaskChest(app, …)``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, abort, current_app, g, jsonify, request
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from flask_chest_otel import SLO, FlaskChest, TrackedVar, flask_chest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PRICES_EUR", "RESPONSE_TIME_HEADER", "create_app"]

RESPONSE_TIME_HEADER = "X-Response-Time"
"""Response header: the very ``g.response_time`` of the request, seconds, so that a client can check the sums."""

PRICES_EUR = {"tea": 4.5, "mug": 12.0, "kettle": 39.9, "tray": 17.25}
"""Everything that the shop sells."""

PAYMENT_REQUIRED = 402

BAD_VERSION = "1.5.0"
"""The release in which the bank keeps gold customers waiting, and does not always answer them."""

SHOWS_QUERIES = "SHOP_SHOWS_QUERIES"
tracer = trace.get_tracer(__name__)


class BankError(Exception):
    """The bank does not answer: nobody handles that."""


class CardDeclinedError(Exception):
    """The bank said no: an everyday event, handled by ``card_declined``."""


def create_app(instance_path: str | None = None, *, version: str | None = None, shows_queries: bool = False) -> Flask:
    """Make the shop.

    Args:
        instance_path: Absolute folder for the embedded store; by default ``instance/`` where Flask puts it.
        version: The release that this is; in ``BAD_VERSION`` something is wrong.
        shows_queries: Make a span of each query, as the instrumentation of a database would.
    """
    app = Flask(__name__, instance_path=instance_path)
    app.config[SHOWS_QUERIES] = shows_queries
    FlaskChest(
        app,
        tracked_vars=[
            "user_id",
            TrackedVar("transaction", metric="counter", description="Requests served"),
            TrackedVar("response_time", unit="s", description="Time until the response began"),
        ],
        response_headers=("X-Request-ID", "traceresponse"),
        excluded_urls=("/health$",),
        slos=[
            SLO("checkout", objective=99, routes=["/checkout"], methods=["POST"], by="plan"),
            SLO("pages", objective=99.5, routes=["/", "/products/*", "/cart/*"], latency_s=0.5),
        ],
        version=version,
    )
    app.config["SHOP_VERSION"] = version
    app.before_request(begin_transaction)
    app.after_request(measure)
    app.register_error_handler(CardDeclinedError, card_declined)
    app.add_url_rule("/", view_func=shelf)
    app.add_url_rule("/products/<name>", view_func=product)
    app.add_url_rule("/cart/<int:cart_id>", view_func=cart, methods=["GET", "POST"])
    app.add_url_rule("/checkout", view_func=checkout, methods=["POST"])
    app.add_url_rule("/export", view_func=export)
    app.add_url_rule("/health", view_func=health)
    return app


def begin_transaction() -> None:
    """Set what every request tracks, before any view."""
    g.started = time.perf_counter()
    g.transaction = 1
    if "X-User" in request.headers:
        g.user_id = request.headers["X-User"]


def measure(response: Response) -> Response:
    """Take the time, also of failed requests, and tell the client the same figure that is recorded."""
    g.response_time = time.perf_counter() - g.started
    response.headers[RESPONSE_TIME_HEADER] = repr(g.response_time)
    return response


def card_declined(_error: CardDeclinedError) -> tuple[dict[str, str], int]:
    """Answer politely; what the view had put on ``g`` is recorded all the same."""
    return {"error": "card declined"}, PAYMENT_REQUIRED


def query(text: str, seconds: float) -> None:
    """Ask the database, which takes its time."""
    if not current_app.config[SHOWS_QUERIES]:
        time.sleep(seconds)
        return
    attributes = {"db.system.name": "sqlite", "db.query.text": text}
    name = text.partition(" WHERE ")[0]
    with tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes):
        time.sleep(seconds)


def ask_bank(plan: str) -> None:
    """Have the bank pay; it asks its customer's bank."""
    if current_app.config["SHOP_VERSION"] == BAD_VERSION and plan == "gold":
        current_app.logger.warning("the bank is asked a second time for a %s customer", plan)
        time.sleep(0.02)
        if g.cart_total > 15:  # noqa: PLR2004 - what the defect of this release depends on
            raise BankError("the bank did not answer within 20 ms")


def shelf() -> Any:
    """List what there is."""
    return jsonify(PRICES_EUR)


def product(name: str) -> dict[str, Any]:
    """Show one product; an unknown one is a 404."""
    if name not in PRICES_EUR:
        abort(404)
    return {"name": name, "price_eur": PRICES_EUR[name]}


@flask_chest(
    tracked_vars={
        "GET": ["cart_id"],
        "POST": ["cart_id", TrackedVar("cart_total", unit="{EUR}"), TrackedVar("plan", dimension=True)],
    }
)
def cart(cart_id: int) -> dict[str, Any]:
    """Show a cart, or fill it: one route, different variables by method."""
    g.cart_id = cart_id
    if request.method == "GET":
        query("SELECT items WHERE cart_id = ?", 0.001)
        return {"cart_id": cart_id}
    query("INSERT INTO items", 0.003)
    order = request.get_json()
    g.plan = order["plan"]
    g.cart_total = sum(PRICES_EUR[name] for name in order["items"])
    return {"cart_id": cart_id, "total_eur": g.cart_total}


@flask_chest(TrackedVar("cart_total", unit="{EUR}"), TrackedVar("plan", dimension=True), "card_number")
def checkout() -> dict[str, str]:
    """Sell; some cards are declined (402), and a lost connection to the warehouse is an error nobody handles (500)."""
    order = request.get_json()
    g.plan = order["plan"]
    g.cart_total = sum(PRICES_EUR[name] for name in order["items"])
    g.card_number = order["card_number"]  # recorded as [REDACTED]: the name gives it away
    query("UPDATE stock WHERE name = ?", 0.005)
    ask_bank(g.plan)
    if order["card_number"].endswith("0000"):
        raise CardDeclinedError
    if "tray" in order["items"]:
        current_app.logger.error("the warehouse does not answer; order of %d items", len(order["items"]))
        raise RuntimeError("no connection to the warehouse")
    return {"status": "sold"}


@flask_chest("rows")
def export() -> Response:
    """Stream all prices as CSV, line by line."""
    g.rows = len(PRICES_EUR)

    def lines() -> Iterator[str]:
        for name, price in PRICES_EUR.items():
            time.sleep(0.0005)
            yield f"{name},{price}\r\n"

    return Response(lines(), mimetype="text/csv")


def health() -> str:
    """Tell a load balancer that the shop is up; nobody wants to see this recorded."""
    return "ok"
