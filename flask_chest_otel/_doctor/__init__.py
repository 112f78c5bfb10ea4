"""``flask chest doctor``: it reads the set-up, tries it, and says for each problem what to type."""

from __future__ import annotations

from flask_chest_otel._doctor.examination import Part, Row, examine, examine_environment

__all__ = ["Part", "Row", "examine", "examine_environment"]
