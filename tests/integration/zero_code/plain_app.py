"""A plain Flask application without a line about us; `flask.Flask` is looked up when it is made."""

import logging

import flask

app = flask.Flask(__name__)


@app.get("/cart/<int:cart_id>")
def cart(cart_id: int) -> str:
    """Set what the environment tracks."""
    flask.g.user_id = "u1"
    flask.g.cart_total = cart_id + 0.5
    return "cart"


@app.get("/fail")
def fail() -> str:
    """Set one variable and break."""
    flask.g.user_id = "u2"
    raise RuntimeError("the view broke")


@app.get("/plain")
def plain() -> str:
    """Set nothing."""
    return "plain"


@app.get("/log/<int:number>")
def log(number: int) -> str:
    """Log one line."""
    logging.getLogger("shop").warning("line %d", number, extra={"cart": number})
    return "logged"
