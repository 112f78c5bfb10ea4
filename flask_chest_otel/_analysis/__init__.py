"""Statistics over many requests: pure calculations over plain values, for the command line and the page."""
