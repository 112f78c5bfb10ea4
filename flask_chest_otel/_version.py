"""The version of the package, as installed."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("flask-chest-otel")
except PackageNotFoundError:  # a checkout on the path that nobody installed
    __version__ = "0"
