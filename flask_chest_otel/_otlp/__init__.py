"""The connection to a collector: where it is, how it is reached, what it answered."""
