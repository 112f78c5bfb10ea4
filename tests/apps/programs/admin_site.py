"""Flask-Admin: a table of orders."""

from flask import Flask, g
from flask_admin import Admin
from flask_admin.contrib.sqla import ModelView
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config.update(SECRET_KEY="for the test", SQLALCHEMY_DATABASE_URI="sqlite:///:memory:")
db = SQLAlchemy(app)


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    item = db.Column(db.String(50), nullable=False)


class Orders(ModelView):
    def on_model_change(self, form, model, is_created):
        """Set what is tracked."""
        g.item = model.item
        if model.item == "none":
            raise RuntimeError("there is none")


admin = Admin(app, name="orders")
admin.add_view(Orders(Order, db.session, endpoint="order"))
with app.app_context():
    db.create_all()
