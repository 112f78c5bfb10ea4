"""What is set up here, whether it works, and what to type where it does not."""

from __future__ import annotations

from flask_chest_otel._doctor.examination import Part, Row, examine

__all__ = ["Part", "Row", "examine"]
