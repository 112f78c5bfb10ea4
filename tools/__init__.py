"""Helpers of the Makefile; nothing here is installed."""
