"""The plain application, made from a class that was imported before any instrumentation ran."""

from early_site import Flask  # type: ignore[import-not-found]  # on the path of the test's server only
from flask import g

app = Flask(__name__)


@app.get("/cart/<int:cart_id>")  # type: ignore[untyped-decorator]  # as the class above is unknown
def cart(cart_id: int) -> str:
    """Set what the environment tracks."""
    g.user_id = "u1"
    g.cart_total = cart_id + 0.5
    return "cart"
