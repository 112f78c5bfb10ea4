"""APIFlask: orders."""

from apiflask import APIFlask, Schema, abort
from apiflask.fields import Integer, String
from flask import g

app = APIFlask(__name__)


class Order(Schema):
    """What is ordered."""

    item = String(required=True)
    pieces = Integer(required=True)


@app.post("/orders")
@app.input(Order)
@app.output(Order, status_code=201)
def order(json_data):
    """Take an order."""
    g.item, g.pieces = json_data["item"], json_data["pieces"]
    return json_data


@app.get("/orders/<int:number>")
@app.output(Order)
def show(number):
    """Show one order."""
    g.number = number
    if number == 404:
        abort(404)
    if number == 500:
        raise RuntimeError("the view broke")
    return {"item": "tea", "pieces": number}
