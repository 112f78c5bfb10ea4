"""I hate money: make its tables, as its own installation does."""

from pathlib import Path

import flask_migrate
import ihatemoney
from ihatemoney.wsgi import application

with application.app_context():
    flask_migrate.upgrade(str(Path(ihatemoney.__file__).parent / "migrations"))
