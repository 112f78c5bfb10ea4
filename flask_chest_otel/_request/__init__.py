"""One request while it runs: its state, its ids, its response, and what is recorded at its end."""
