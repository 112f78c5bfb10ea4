"""The connection to a collector: its address, the protocol, the encoding, and its answers."""
