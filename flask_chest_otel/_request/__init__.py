"""A request while it runs: its state, its ids, its response headers, and its record at the end."""
