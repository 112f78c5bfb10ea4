"""The example shop under gunicorn, through the collector, into InfluxDB: what `make pipeline` runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import pipeline as measured
from tests.backends import pipeline
from tests.backends.require import require_built

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real


def test_influxdb_answers_what_the_shop_served(tmp_path: Path) -> None:
    """Transactions and average response time of every route and method are those that the customers saw."""
    require_built("flask-chest-collector")
    require_built("influxd")
    outcome = pipeline.run(tmp_path, requests=200)
    assert outcome.agrees, str(outcome)
    assert outcome.rows[-1].served > 150
    assert len(outcome.rows) > 4


def test_the_way_can_be_measured(tmp_path: Path) -> None:
    """`make bench-pipeline` comes to its end with everything in InfluxDB; its figures are nobody's business here."""
    require_built("flask-chest-collector")
    require_built("influxd")
    lines = list(measured.run(tmp_path, seconds=0.5, rates=[1000], probes=2, durabilities=("batch",)))
    said = "\n".join(lines)
    assert all(part in said for part in ("requests/s served", "1000 spans/s", "batch "))
