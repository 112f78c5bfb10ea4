"""Who exports what, decided at an application's first request and never before."""

from flask_chest_otel._export._decision import Export

__all__ = ["Export"]
