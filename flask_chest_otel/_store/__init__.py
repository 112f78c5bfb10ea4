"""The embedded store: one SQLite file that `flask chest` reads."""
