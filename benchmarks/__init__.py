"""Costs, measured: ``python -m benchmarks``."""
