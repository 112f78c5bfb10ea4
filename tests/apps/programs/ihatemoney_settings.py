"""I hate money: where its data are."""

import os

SQLALCHEMY_DATABASE_URI = f"sqlite:///{os.environ['HOME']}/ihatemoney.sqlite3"
SECRET_KEY = "for the test"
SESSION_COOKIE_SECURE = False
