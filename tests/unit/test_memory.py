"""Nothing of ours grows with the number of requests; ``make bench-memory`` says the same of a million."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.memory import application, ask, environs
from flask_chest_otel.chests import SQLChest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Rig

PART = 2_500


@pytest.mark.slow
def test_object_counts_stay(rig: Rig, tmp_path: Path) -> None:
    """Changing ids, routes and values, half of the requests failing: one object kept per request would be thousands."""
    chest = SQLChest(f"sqlite:///{tmp_path / 'records.sqlite3'}", name="records")
    app = application(
        tracer_provider=rig.tracer_provider, meter_provider=rig.meter_provider, chests=[chest], cardinality_limit=100
    )
    counts = []
    try:
        for seed in (1, 2, 3):
            for environ in environs(PART, seed):
                ask(app, environ)
                rig.exporter.clear()
            assert chest.flush(20)
            rig.points("amount")
            gc.collect()
            counts.append((len(gc.get_objects()), sys.getallocatedblocks()))
    finally:
        chest.close()
    _warm_up, (objects, blocks), (objects_then, blocks_then) = counts
    assert objects_then - objects < PART / 20
    assert blocks_then - blocks < PART / 10
