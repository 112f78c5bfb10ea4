"""The model of what a load needs, and the servers that it is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.capacity import TABLE, Load, breaks, needs, span_bytes
from tests.backends.require import require_built, require_installed

if TYPE_CHECKING:
    from pathlib import Path


def test_what_grows_with_what() -> None:
    """Spans grow with requests, sampling and child spans; points with processes and sets, and not with sampling."""
    load = Load(1000.0, processes=10, machines=5)
    usual = needs(load)
    assert needs(load._replace(sampled=0.1)).spans_per_s == pytest.approx(usual.spans_per_s / 10)
    assert needs(load._replace(sampled=0.1)).points_per_s == usual.points_per_s
    assert needs(load._replace(child_spans=3)).spans_per_s == 4 * usual.spans_per_s
    assert needs(load._replace(processes=20)).points_per_s == 2 * usual.points_per_s
    assert needs(load._replace(sets=10_000)).series == 3 * 2000 * 10
    assert needs(load._replace(outage_h=2)).queue_bytes == 2 * usual.queue_bytes
    assert needs(load._replace(machines=10)).agent_cores < usual.agent_cores
    assert needs(load._replace(machines=1)).gateways == 0


def test_what_breaks_first() -> None:
    """Where spans are kept longer, InfluxDB's memory ends at fewer requests; at that rate it is full to the brim."""
    load = Load(1000.0, machines=4)
    [(requests, _)] = [end for end in breaks(load, TABLE) if "InfluxDB" in end[1]]
    assert needs(load._replace(requests_per_s=requests)).influxdb_bytes == pytest.approx(64 * 2**30)
    [(fewer, _)] = [end for end in breaks(load._replace(retention_h=24), TABLE) if "InfluxDB" in end[1]]
    assert fewer == pytest.approx(requests / 4)


@pytest.mark.real
def test_loads_are_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`make bench-capacity` comes to its end with everything in InfluxDB, and knows how long a span is."""
    from benchmarks.capacity_loads import USUAL, body, hold  # noqa: PLC0415 - it brings servers

    for name in ("flask-chest-collector", "influxd", "kafka"):
        require_built(name)
    require_installed("java", "default-jre-headless")
    costs = hold(tmp_path, rate=100, outage_s=10, seconds=2)
    assert span_bytes(Load(1.0, variables=USUAL), costs) == pytest.approx(len(body(100, USUAL)) / 100, rel=0.01)
    assert "two agents, Kafka, two gateways" in capsys.readouterr().out
