"""flask-smorest: orders."""

from flask import Flask, g
from flask.views import MethodView
from flask_smorest import Api, Blueprint, abort
from marshmallow import Schema, fields

app = Flask(__name__)
app.config.update(API_TITLE="orders", API_VERSION="1", OPENAPI_VERSION="3.0.2")
api = Api(app)
orders = Blueprint("orders", __name__, url_prefix="/orders")


class Order(Schema):
    """What is ordered."""

    item = fields.String(required=True)
    pieces = fields.Integer(required=True)


@orders.route("")
class Orders(MethodView):
    """All orders."""

    @orders.arguments(Order)
    @orders.response(201, Order)
    def post(self, given):
        """Take an order."""
        g.item, g.pieces = given["item"], given["pieces"]
        return given


@orders.route("/<int:number>")
class OneOrder(MethodView):
    """One order."""

    @orders.response(200, Order)
    def get(self, number):
        """Show it."""
        g.number = number
        if number == 404:
            abort(404, message="no such order")
        if number == 500:
            raise RuntimeError("the view broke")
        return {"item": "tea", "pieces": number}


api.register_blueprint(orders)
