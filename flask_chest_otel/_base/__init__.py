"""Helpers for processes, files and libraries. This room imports neither OpenTelemetry nor Flask."""
