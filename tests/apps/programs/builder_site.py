"""Flask-AppBuilder: its login, and a page for who is logged in; it puts the user onto g."""

from flask import Flask, g
from flask_appbuilder import AppBuilder, BaseView, expose, has_access
from flask_appbuilder.utils.legacy import get_sqla_class

app = Flask(__name__)
app.config.update(
    SECRET_KEY="for the test", SQLALCHEMY_DATABASE_URI="sqlite:///builder.sqlite3", WTF_CSRF_ENABLED=False
)
db = get_sqla_class()(app)


class Orders(BaseView):
    route_base = "/orders"
    default_view = "all"

    @expose("/all/")
    @has_access
    def all(self):
        """Show them to those who may see them."""
        return f"orders of {g.user.username}"

    @expose("/fail/")
    def fail(self):
        """Break."""
        raise RuntimeError("the view broke")


with app.app_context():
    builder = AppBuilder(app, db.session)
    builder.add_view(Orders, "orders")
    if builder.sm.find_user("ann") is None:
        builder.sm.add_user("ann", "Ann", "A", "ann@example.com", builder.sm.find_role("Admin"), "secret")
