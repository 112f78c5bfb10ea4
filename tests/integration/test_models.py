"""Models, proxies and what else applications keep on ``g``: with Flask-SQLAlchemy and Flask-Login themselves."""

from __future__ import annotations

import sys
import types
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from flask import current_app, g, request, session
from flask_login import LoginManager, UserMixin, current_user, login_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event, text
from werkzeug.local import LocalProxy

from flask_chest_otel import TrackedVar
from flask_chest_otel.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from tests.conftest import Rig

SECRET = "hunter2-of-the-tests"  # noqa: S105 - the point


class Site:
    """An application with users in a real database.

    Attributes:
        app: It has no chest yet.
        statements: What the database was asked, the set-up left out.
        loaded: Users that Flask-Login has loaded.
    """

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.app: Flask = rig.plain("site")
        rig.folder.mkdir()
        self.app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{rig.folder}/site.sqlite3"
        self.app.secret_key = SECRET
        self.db: Any = SQLAlchemy(self.app)
        self.statements: list[str] = []
        self.loaded: list[str] = []
        self.users: Any = self._users()
        manager = LoginManager(self.app)
        manager.user_loader(self._load)
        with self.app.app_context():
            self.db.create_all()
            self.db.session.add(self.users(name="ada", plan="gold", password=SECRET))
            self.db.session.commit()
            event.listen(self.db.engine, "before_cursor_execute", self._note)

    def _users(self) -> Any:
        db = self.db

        class User(UserMixin, db.Model):  # type: ignore[name-defined, misc]
            """Its text needs all of its columns."""

            id = db.Column(db.Integer, primary_key=True)
            name = db.Column(db.String)
            plan = db.Column(db.String)
            password = db.Column(db.String)

            def __str__(self) -> str:
                return f"{self.name} {self.password}"

            __repr__ = __str__

            @property
            def shown_as(self) -> str:
                return f"{self.name}!"

        return User

    def _load(self, user_id: str) -> Any:
        self.loaded.append(user_id)
        return self.db.session.get(self.users, int(user_id))

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_args: Any) -> None:
        self.statements.append(statement)

    def dispose(self) -> None:
        """Close the connections."""
        with self.app.app_context():
            self.db.engine.dispose()

    def recorded(self, view: Callable[[], Any], tracked: Any, **asked: Any) -> dict[str, Any]:
        """The variables of one request, made by somebody who is logged in."""
        app = self.app
        self.rig.chest(app, tracked_vars=tracked, list_limit=64)

        def served() -> str:
            view()
            return "ok"

        def log_in() -> str:
            login_user(self.db.session.get(self.users, 1))
            return "ok"

        app.add_url_rule("/", view_func=served)
        app.add_url_rule("/login", view_func=log_in)
        client = app.test_client()
        client.get("/login")
        self.statements.clear()
        self.loaded.clear()
        with capture(app) as records:
            assert client.get("/", **asked).text == "ok"
        (record,) = records
        assert not record.refused
        assert SECRET not in str(record.variables)
        return dict(record.variables)


@pytest.fixture
def site(rig: Rig) -> Iterator[Site]:
    made = Site(rig)
    yield made
    made.dispose()


def test_a_model_is_not_asked_for_its_text(site: Site) -> None:
    """After a commit its text would take a statement and a transaction: its class is recorded, in lists, too."""

    def view() -> None:
        g.user = site.db.session.get(site.users, 1)
        g.users = [g.user]
        g.found = {"user": g.user}
        g.row = site.db.session.execute(text("select name, password from user")).one()
        site.db.session.commit()

    recorded = site.recorded(view, "*")
    assert recorded["user"] == "User"
    assert recorded["users"] == ("User",)
    assert recorded["found"] == '{"user": "User"}'
    assert recorded["row"] == '{"name": "ada", "password": "[REDACTED]"}'
    assert len(site.statements) == 2


def test_nobody_is_loaded(site: Site) -> None:
    """``g.user = current_user`` records no user, loads none and asks the database nothing, by a path and as a hash."""

    def view() -> None:
        g.user = current_user

    recorded = site.recorded(view, ["user", "user.id", TrackedVar("user.name", attribute="who")])
    assert recorded == {"user": "LocalProxy"}
    assert (site.loaded, site.statements) == ([], [])


@pytest.mark.guard_on
def test_what_is_not_recorded_of_them(site: Site) -> None:
    """A hash of a model's text would need the text; an error in a function of the application's own is counted."""

    def broken(user: Any) -> Any:
        raise KeyError(SECRET, user)

    def view() -> str:
        g.user = site.db.session.get(site.users, 1)
        g.plan = g.user
        site.db.session.commit()
        return "ok"

    site.rig.chest(site.app, tracked_vars=[TrackedVar("user", redact="hash"), TrackedVar("plan", convert=broken)])
    site.app.add_url_rule("/", view_func=view)
    with capture(site.app) as records:
        assert site.app.test_client().get("/").text == "ok"
    assert records[0].variables == {}
    assert records[0].refused == {
        "user": "not asked for its text: TrackedVar(…, convert=…) says what to hash",
        "plan": "convert raised KeyError",
    }
    assert len(site.statements) == 1


def test_whoever_is_loaded_is_found(site: Site) -> None:
    """Where the view has asked for its user, paths take from it what they name, without another statement."""

    def view() -> None:
        g.user = current_user
        assert current_user.is_authenticated

    paths = ["user", "user.id", "user.plan", "user.password", "user.shown_as", "user.nothing", "user.plan.nothing"]
    recorded = site.recorded(view, paths)
    assert recorded == {
        "user": "User",
        "user.id": 1,
        "user.plan": "gold",
        "user.password": "[REDACTED]",
        "user.shown_as": "ada!",
    }
    assert (site.loaded, len(site.statements)) == (["1"], 1)


def test_what_a_commit_leaves(site: Site) -> None:
    """A commit expires all attributes: the primary key is still known, nothing else is loaded for a path."""

    def view() -> None:
        g.user = site.db.session.get(site.users, 1)
        site.db.session.commit()

    assert site.recorded(view, ["user.id", "user.plan", "user.shown_as"]) == {"user.id": 1}
    assert len(site.statements) == 1


def test_convert_says_what_to_take(site: Site) -> None:
    """A function of the application's own may load what it likes."""

    def view() -> None:
        g.user = site.db.session.get(site.users, 1)
        site.db.session.commit()

    tracked = TrackedVar("user", convert=lambda user: user.plan, dimension=True, attribute="plan")
    assert site.recorded(view, tracked) == {"user": "gold"}
    assert len(site.statements) == 2


def test_nothing_passes_without_the_mask(site: Site) -> None:
    """Session, headers, the request, the application and namespaces: what their names call secret is not shown."""

    def view() -> None:
        session["api_key"] = SECRET
        g.session = session
        g.headers = request.headers
        g.request = request
        g.args = request.args
        g.environ = {name: request.environ[name] for name in ("QUERY_STRING", "HTTP_AUTHORIZATION")}
        g.config = current_app
        g.own = SimpleNamespace(pin=SECRET, deep=[SimpleNamespace(user="ada", secret=SECRET)])
        g.itself = g

    asked = {"headers": {"Authorization": f"Bearer {SECRET}"}, "query_string": {"token": SECRET}}
    recorded = site.recorded(view, "*", **asked)
    assert '"api_key": "[REDACTED]"' in recorded["session"]
    assert '"Authorization": "[REDACTED]"' in recorded["headers"]
    assert recorded["args"] == '{"token": "[REDACTED]"}'
    assert (recorded["request"], recorded["config"]) == ("Request", "Flask")
    assert recorded["own"] == '{"pin": "[REDACTED]", "deep": [{"user": "ada", "secret": "[REDACTED]"}]}'
    assert SECRET not in str(site.rig.servers()[-1].attributes)


def test_what_everything_is(site: Site) -> None:
    """A star records no addresses; a name with a minus is left out, one that is tracked by name has its own way."""

    class Ledger:
        pass

    def view() -> None:
        g.ledger, g.books, g.module, g.function = Ledger(), Ledger(), types, view
        g.user = {"id": 7}

    assert site.recorded(view, "*,-ledger,user.id") == {
        "books": "Ledger",
        "module": "module",
        "function": "function",
        "user.id": 7,
    }


def test_the_table_of_objects(rig: Rig) -> None:
    """What stands on ``g`` is recorded as the documentation's table of objects says, row by row."""
    app = rig.app(tracked_vars="*")
    app.secret_key = SECRET

    class Plain:
        pass

    class Text:
        def __str__(self) -> str:
            return "a text"

    @app.get("/")
    def view() -> str:
        session["cart"], session["token"] = 3, "t"
        g.dictionary, g.of_session, g.namespace = {"a": 1, "password": "p"}, session, SimpleNamespace(a=1, pin=2)
        g.text, g.failure = Text(), ValueError("bad")
        g.plain, g.module, g.function = Plain(), sys, view
        g.of_request, g.application, g.proxy = request, current_app, LocalProxy(lambda: "db")
        return "ok"

    with capture(app) as records:
        app.test_client().get("/")
    assert dict(records[0].variables) == {
        "dictionary": '{"a": 1, "password": "[REDACTED]"}',
        "of_session": '{"cart": 3, "token": "[REDACTED]"}',
        "namespace": '{"a": 1, "pin": "[REDACTED]"}',
        "text": "a text",
        "failure": "bad",
        "plain": "Plain",
        "module": "module",
        "function": "function",
        "of_request": "Request",
        "application": "Flask",
        "proxy": "LocalProxy",
    }
