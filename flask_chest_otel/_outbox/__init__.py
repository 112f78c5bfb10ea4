"""The outbox: keeps telemetry in a file that survives the process, and sends it to a collector."""
