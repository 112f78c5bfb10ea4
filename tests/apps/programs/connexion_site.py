"""Connexion 3: an application of its own around Flask, served by an ASGI server."""

from pathlib import Path

from connexion import FlaskApp
from connexion.exceptions import ProblemException
from flask import g


def show(number):
    """Show one order."""
    g.number = number
    if number == 404:
        raise ProblemException(status=404, title="no such order")
    if number == 500:
        raise RuntimeError("the view broke")
    return {"item": "tea", "pieces": number}


def order(body):
    """Take an order."""
    g.item, g.pieces = body["item"], body["pieces"]
    return body, 201


app = FlaskApp(__name__, specification_dir=Path(__file__).parent)
app.add_api("connexion_site.yaml")
