"""What many requests have in common: pure calculations over plain values, for the command line and the page."""
