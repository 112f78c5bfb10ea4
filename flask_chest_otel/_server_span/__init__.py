"""The server span that this package makes: its attributes, its metrics, its end."""
