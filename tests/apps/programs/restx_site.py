"""Flask-RESTX: orders."""

from flask import Flask, g
from flask_restx import Api, Resource, fields

app = Flask(__name__)
api = Api(app, validate=True)
order = api.model("Order", {"item": fields.String(required=True), "pieces": fields.Integer(required=True)})


@api.route("/orders")
class Orders(Resource):
    """All orders."""

    @api.expect(order)
    @api.marshal_with(order, code=201)
    def post(self):
        """Take an order."""
        g.item, g.pieces = api.payload["item"], api.payload["pieces"]
        return api.payload, 201


@api.route("/orders/<int:number>")
class OneOrder(Resource):
    """One order."""

    @api.marshal_with(order)
    def get(self, number):
        """Show it."""
        g.number = number
        if number == 404:
            api.abort(404)
        if number == 500:
            raise RuntimeError("the view broke")
        return {"item": "tea", "pieces": number}
