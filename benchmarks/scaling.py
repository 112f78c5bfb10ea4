"""How the cost of a request grows with routes and with variables: ``make bench-scaling``."""

from __future__ import annotations

import subprocess
import sys

from flask import Flask, g

from benchmarks.measure import per_request_us
from benchmarks.variants import providers, set_variables
from flask_chest_otel import FlaskChest, flask_chest

ROUTES = (1, 10, 100, 1000)
VARIABLES = (4, 16, 64)


def app_with(routes: int, variables: int, *, bare: bool) -> Flask:
    """An application whose measured route tracks ``variables`` texts, beside ``routes - 1`` others.

    ``bare``: without a chest, as the view's own assignments to ``g`` are not the chest's cost.
    """
    providers()
    app = Flask("shop")
    names = [f"name{number}" for number in range(variables)]

    def view(cart_id: int) -> str:
        set_variables()
        for name in names:
            setattr(g, name, "text")
        return f"cart {cart_id}"

    for number in range(routes - 1):
        app.add_url_rule(f"/other/{number}", f"other{number}", flask_chest(names)(lambda: "other"))
    app.add_url_rule("/cart/<int:cart_id>", "cart", flask_chest(names)(view), methods=["GET", "POST"])
    if not bare:
        FlaskChest(app)
    return app


def _one(routes: int, variables: int) -> float:
    """What the chest adds to one request, microseconds."""
    return _best(routes, variables, "chest") - _best(routes, variables, "bare")


def _best(routes: int, variables: int, kind: str) -> float:
    command = [sys.executable, "-m", "benchmarks.scaling", str(routes), str(variables), kind]
    times = [float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(3)]
    return min(times)


def main() -> None:
    """Measure and print."""
    print("routes     us over bare")
    for routes in ROUTES:
        print(f"{routes:<10} {_one(routes, 4):10.1f}")
    print("variables  us over bare  us per further variable")
    first = _one(1, VARIABLES[0])
    for variables in VARIABLES:
        found = _one(1, variables)
        each = f"{(found - first) / (variables - VARIABLES[0]):10.2f}" if variables > VARIABLES[0] else ""
        print(f"{variables:<10} {found:10.1f}  {each}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(per_request_us(app_with(int(sys.argv[1]), int(sys.argv[2]), bare=sys.argv[3] == "bare")))
    else:
        main()
