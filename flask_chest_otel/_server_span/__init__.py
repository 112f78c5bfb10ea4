"""The server span of our own: its attributes, its metrics, its end."""
