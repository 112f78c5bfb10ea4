"""Imported before auto-instrumentation: takes hold of the class `Flask` early."""

from flask import Flask

__all__ = ["Flask"]
