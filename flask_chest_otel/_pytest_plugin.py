"""The pytest fixture ``chest_records``; the package is imported only when a test uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from flask_chest_otel._records.record import RequestRecord

__all__ = ["chest_records"]


@pytest.fixture
def chest_records(app: Flask) -> Iterator[list[RequestRecord]]:
    """Records of the requests that the fixture ``app`` (a Flask application) finishes during the test."""
    from flask_chest_otel.testing import capture  # noqa: PLC0415 - every pytest run imports this module

    with capture(app) as records:
        yield records
