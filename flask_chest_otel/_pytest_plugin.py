"""The pytest fixture ``chest_records``. This module imports the package only when a test uses the fixture."""

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
    """List of records of the requests that ``app`` finishes during the test.

    Args:
        app: The Flask application, from a fixture of this name that the test suite defines.
    """
    from flask_chest_otel.testing import capture  # noqa: PLC0415 - every pytest run imports this module

    with capture(app) as records:
        yield records
