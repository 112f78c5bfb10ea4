"""The version of the package; the build reads it here. Asking the installed metadata for it costs each start more."""

__all__ = ["__version__"]

__version__ = "0.1.0"
