"""What a load needs: bytes, collectors, queues, partitions, writes, series. ``make bench-capacity`` holds it to runs.

A model of few lines, with constants that are measured: what the collector takes for a span and for its bytes, on each
of its ways, comes from two short runs per way (:mod:`benchmarks.capacity_loads`); how long a span and a point are comes
from the encoder. Three other loads are then run for real, and what was predicted of them stands beside what was found.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

__all__ = ["TABLE", "Costs", "Load", "Way", "needs"]

KIB = 1024
BUSY = 0.6
"""How much of a core is planned for: what is left takes the peaks, and works off what an outage has left."""

ROOM_BYTES = 64 * 2**30
"""Memory of one database, for the question what breaks first."""

QUEUE_BYTES = 2**30
"""Bound of a target's queue in the collector, unless it is told otherwise."""

SPAN_SERIES_BYTES = 6 * 1024
"""Memory that InfluxDB 2.x takes for a span, whose ids are tags: docs/how-to/cardinality.md."""

PROMETHEUS_SERIES_BYTES = 4 * 1024
"""Memory to plan for a series of Prometheus. With six short labels it takes 2.5 KiB (docs/how-to/cardinality.md)."""

PER_HISTOGRAM = 17
"""Series in Prometheus for one of a histogram: 14 buckets and +Inf, sum, count."""

MOST_SETS = 2000
"""Attribute sets of one instrument in one process; more go to one point."""


class Way(NamedTuple):
    """What a collector takes on one way: a share at rest, one for each span, and one for its bytes.

    Attributes:
        at_rest: Cores that are busy with small loads whatever they bring: batches are closed five times a second.
        us_per_span: Processor time, microseconds.
        us_per_kib: The same, for each 1024 bytes.
    """

    at_rest: float
    us_per_span: float
    us_per_kib: float

    def cores(self, spans_per_s: float, span_bytes: float) -> float:
        """Cores that are busy with so many spans of that length, beside what is taken at rest."""
        return spans_per_s * (self.us_per_span + self.us_per_kib * span_bytes / KIB) / 1e6


class Costs(NamedTuple):
    """The constants.

    Attributes:
        span_bytes: A server span without variables, its ids and the conventions' attributes included.
        variable_bytes: What each variable adds to it.
        point_bytes: A point of a histogram of 14 buckets.
        to_influxdb: The way of an agent that writes into InfluxDB.
        to_kafka: That of an agent that writes into Kafka.
        from_kafka: That of a gateway that reads Kafka and writes into InfluxDB.
        kafka_share: Bytes in Kafka for each byte of spans: it compresses.
        queue_share: Bytes on disk for each byte of spans that waits.
        drain_us: Processor time to write a span that has waited, microseconds.
        memory_mib: Of a collector at these loads.
    """

    span_bytes: float = 549.4
    variable_bytes: float = 48.0
    point_bytes: float = 455.0
    to_influxdb: Way = Way(0.002, 40.5, 194.4)
    to_kafka: Way = Way(0.003, 28.4, 73.3)
    from_kafka: Way = Way(0.0, 487.1, 247.1)
    kafka_share: float = 0.104
    queue_share: float = 1.004
    drain_us: float = 76.3
    memory_mib: float = 116.0


TABLE = Costs()
"""One run on two shared cores, for reckoning without a run: ``--reckon``."""


class Load(NamedTuple):
    """What an installation does.

    Attributes:
        requests_per_s: Of all services together.
        variables: Tracked variables of a request.
        metrics: Those of them that are metrics.
        sets: Attribute sets of one of these metrics in one process: routes x methods x values of dimensions.
        sampled: Share of the traces that are kept, decided where they begin.
        child_spans: Spans of a request beside its server span.
        processes: Workers.
        machines: Application servers, each with one agent.
        outage_h: How long a target may be away.
        retention_h: How long spans are kept.
        interval_s: Between two exports of metrics.
    """

    requests_per_s: float
    variables: int = 10
    metrics: int = 2
    sets: int = 50
    sampled: float = 1.0
    child_spans: float = 0.0
    processes: int = 8
    machines: int = 1
    outage_h: float = 1.0
    retention_h: float = 6.0
    interval_s: float = 60.0


class Needs(NamedTuple):
    """What that takes."""

    spans_per_s: float
    points_per_s: float
    bytes_per_s: float
    agent_cores: float
    queue_bytes: float
    kafka_bytes_per_s: float
    partitions: int
    gateways: int
    gateway_cores: float
    drain_h: float
    series: float
    influxdb_points_per_s: float
    influxdb_bytes: float
    prometheus_series: float
    prometheus_samples_per_s: float


def span_bytes(load: Load, costs: Costs) -> float:
    """How long a span is."""
    return costs.span_bytes + load.variables * costs.variable_bytes


def needs(load: Load, costs: Costs = TABLE, *, gateway_size: float = 4.0) -> Needs:
    """What a load needs.

    Args:
        load: The load.
        costs: The constants.
        gateway_size: Cores of one gateway.
    """
    spans = load.requests_per_s * load.sampled * (1 + load.child_spans)
    length = span_bytes(load, costs)
    # The duration of requests is a metric, too.
    series = (load.metrics + 1) * min(load.sets, MOST_SETS) * load.processes
    points = series / load.interval_s
    total = spans * length + points * costs.point_bytes
    direct = load.machines == 1

    def cores(way: Way) -> float:
        # Of points of metrics only what their bytes take is known.
        return way.cores(spans, length) + points * costs.point_bytes / KIB * way.us_per_kib / 1e6

    agent, behind = cores(costs.to_influxdb if direct else costs.to_kafka) / load.machines, cores(costs.from_kafka)
    gateways = 0 if direct else math.ceil(behind / (gateway_size * BUSY))
    return Needs(
        spans_per_s=spans,
        points_per_s=points,
        bytes_per_s=total,
        agent_cores=agent,
        queue_bytes=total / load.machines * load.outage_h * 3600 * costs.queue_share,
        kafka_bytes_per_s=0.0 if direct else total * costs.kafka_share,
        # A partition is read by one consumer: at least one for each core that works behind Kafka, and room to grow.
        partitions=0 if direct else 2 * math.ceil(gateways * gateway_size),
        gateways=gateways,
        gateway_cores=0.0 if direct else behind,
        # What waits is worked off beside what still comes.
        drain_h=load.outage_h * BUSY / (1 - BUSY),
        series=series,
        influxdb_points_per_s=spans + points,
        influxdb_bytes=spans * load.retention_h * 3600 * SPAN_SERIES_BYTES,
        prometheus_series=series * PER_HISTOGRAM,
        prometheus_samples_per_s=points * PER_HISTOGRAM,
    )


def breaks(load: Load, costs: Costs) -> list[tuple[float, str]]:
    """At how many requests per second each part comes to its end, if all grows alike; the first one first."""
    found = needs(load, costs)
    shares = {
        f"InfluxDB 2.x: spans of {load.retention_h:g} h fill 64 GiB of memory": found.influxdb_bytes / ROOM_BYTES,
        "Prometheus: series fill 64 GiB of memory": found.prometheus_series * PROMETHEUS_SERIES_BYTES / ROOM_BYTES,
    }
    ends = [(load.requests_per_s / share, what) for what, share in shares.items()]
    # These grow with the load of one machine, of which there may be more.
    of_machine = {
        f"agent: an outage of {load.outage_h:g} h fills a queue of 1 GiB": found.queue_bytes / QUEUE_BYTES,
        "agent: one core is busy": found.agent_cores / BUSY,
    }
    ends += [
        (load.requests_per_s / load.machines / share, f"{what}, of one machine") for what, share in of_machine.items()
    ]
    return sorted(ends)


def report(load: Load, costs: Costs) -> str:
    """The needs of a load, as a table."""
    found = needs(load, costs)
    rows = {
        "spans/s": f"{found.spans_per_s:,.0f}",
        "metric points/s": f"{found.points_per_s:,.0f}",
        "OTLP, MB/s": f"{found.bytes_per_s / 1e6:,.1f}",
        "agent: cores on each machine": f"{found.agent_cores:,.2f}",
        f"agent: queue for {load.outage_h:g} h, GB": f"{found.queue_bytes / 1e9:,.1f}",
        "Kafka, MB/s, one copy": f"{found.kafka_bytes_per_s / 1e6:,.1f}",
        "Kafka: partitions": f"{found.partitions:,}",
        "gateways of 4 cores": f"{found.gateways:,}",
        "gateways: busy cores": f"{found.gateway_cores:,.1f}",
        "drained after, h": f"{found.drain_h:,.1f}",
        "series of metrics": f"{found.series:,.0f}",
        "InfluxDB: points/s": f"{found.influxdb_points_per_s:,.0f}",
        f"InfluxDB 2.x: memory for {load.retention_h:g} h, GiB": f"{found.influxdb_bytes / 2**30:,.1f}",
        "Prometheus: series": f"{found.prometheus_series:,.0f}",
        "Prometheus: samples/s": f"{found.prometheus_samples_per_s:,.0f}",
    }
    lines = [f"{name:<36} {value:>16}" for name, value in rows.items()]
    ends = [f"{requests:>16,.0f}  {what}" for requests, what in breaks(load, costs)]
    return "\n".join([*lines, "", "requests/s at which it breaks", *ends])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capacity", description=__doc__.splitlines()[0])
    parser.add_argument("--reckon", action="store_true", help="only reckon, with the table's constants")
    parser.add_argument("--requests", type=float, default=1e6, help="per second (default: %(default).0f)")
    defaults = Load(0.0)
    given = {"variables": 20, "processes": 20_000, "machines": 1000, "sampled": 1.0, "sets": 200}
    for name in Load._fields[1:]:
        kind = type(getattr(defaults, name))
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=given.get(name, getattr(defaults, name)))
    parser.add_argument("--rate", type=float, default=300.0, help="spans/s of the runs (default: %(default).0f)")
    parser.add_argument("--outage", type=float, default=300.0, help="seconds of the outage (default: %(default).0f)")
    parser.add_argument("--save", type=Path, help="keep the measured constants in this file, as JSON")
    return parser.parse_args()


def main() -> int:
    """Measure, compare, reckon."""
    given = _arguments()
    costs = TABLE
    if not given.reckon:
        from benchmarks.capacity_loads import hold  # noqa: PLC0415 - it brings servers
        from tests.backends.require import EXIT_MISSING, MissingError  # noqa: PLC0415

        with tempfile.TemporaryDirectory(prefix="flask-chest-capacity-") as folder:
            try:
                costs = hold(Path(folder), rate=given.rate, outage_s=given.outage)
            except MissingError as error:
                print(error, file=sys.stderr)
                return EXIT_MISSING
        print("constants:", json.dumps(costs._asdict()))
        if given.save:
            given.save.write_text(json.dumps(costs._asdict(), indent=1))
    load = Load(given.requests, **{name: getattr(given, name) for name in Load._fields[1:]})
    if not given.reckon:
        print()
    print(report(load, costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
