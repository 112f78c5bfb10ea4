"""The whole way once: shop → OTLP → collector → InfluxDB, and back as an answer.

    python -m tests.backends.pipeline [--requests N]

Starts InfluxDB 2.7, the bundled collector and the example shop under gunicorn with two workers, sends customers, and
prints total transactions and average response time as InfluxDB answers them, beside what the shop told its
customers. Ends with status 1 when they differ, with 69 when something has to be installed first.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.backends import jsonl
from tests.backends.collector import Collector
from tests.backends.influxdb2 import InfluxDB2
from tests.backends.require import EXIT_MISSING, MissingError
from tests.backends.shop import Shop

TRANSACTIONS = """
    SELECT sum(last) AS transactions FROM (SELECT last(counter) AS last FROM "flask.g.transaction" GROUP BY *)
    GROUP BY "http.request.method", "http.route"
"""
RESPONSE_TIME = """
    SELECT sum(s) AS seconds, sum(c) AS requests FROM (
        SELECT last("sum") AS s, last("count") AS c FROM "flask.g.response_time" GROUP BY *)
    GROUP BY "http.request.method", "http.route"
"""
WITHIN_S = 30.0
"""How long InfluxDB may take to know everything."""


@dataclass(frozen=True)
class Row:
    """Total transactions and average response time of one route and method, as two sides say it."""

    method: str
    route: str
    served: int
    served_average_s: float
    answered: int
    answered_average_s: float

    @property
    def agrees(self) -> bool:
        """Whether both sides say the same; sums of floats may differ in the last digits."""
        return self.served == self.answered and math.isclose(
            self.served_average_s, self.answered_average_s, rel_tol=1e-9
        )


@dataclass(frozen=True)
class Outcome:
    """What came of it: one row per route and method, and one for all."""

    rows: list[Row]
    spans_in_file: int
    """Server spans of the shop's requests that the second target has got."""

    @property
    def agrees(self) -> bool:
        """Whether everything that was served is in both targets."""
        return all(row.agrees for row in self.rows) and self.spans_in_file == self.rows[-1].served

    def __str__(self) -> str:
        head = f"{'METHOD':<7} {'ROUTE':<22} {'SERVED':>7} {'INFLUXDB':>9} {'AVERAGE s':>12} {'INFLUXDB s':>12}"
        lines = [
            f"{row.method:<7} {row.route:<22} {row.served:>7} {row.answered:>9} "
            f"{row.served_average_s:>12.9f} {row.answered_average_s:>12.9f}{'' if row.agrees else '  differs'}"
            for row in self.rows
        ]
        return "\n".join([head, *lines, f"server spans in the file target: {self.spans_in_file}"])


def run(folder: Path, requests: int = 300) -> Outcome:
    """Go the whole way once, with everything in `folder`."""
    with (
        InfluxDB2(folder / "influxdb") as influxdb,
        Collector("influxdb", "file", folder=folder / "collector", env=influxdb.collector_env) as collector,
        Shop(folder / "shop", collector.otlp_http) as shop,
    ):
        report = shop.visit(requests)
        # A stopped worker has handed over everything: that is part of what is tested here.
        shop.stop()
        deadline = time.monotonic() + WITHIN_S
        outcome = compare(report, influxdb, collector)
        while not outcome.agrees and time.monotonic() < deadline:
            time.sleep(0.5)
            outcome = compare(report, influxdb, collector)
        return outcome


def compare(report: dict[str, object], influxdb: InfluxDB2, collector: Collector) -> Outcome:
    """Put the customers' report beside the answers of InfluxDB."""
    answers = _answers(influxdb)
    routes: list[dict[str, object]] = report["routes"]  # type: ignore[assignment]
    total: dict[str, object] = report["total"]  # type: ignore[assignment]
    rows = [_row(row, answers.get((row["method"], row["route"] or ""), (0, 0.0))) for row in routes]
    every = (sum(count for count, _ in answers.values()), math.fsum(seconds for _, seconds in answers.values()))
    rows.append(_row({"method": "TOTAL", "route": "", **total}, every))
    spans = jsonl.spans(collector.folder / "telemetry.jsonl")
    server = {span["spanId"] for span in spans if "flask.g.transaction" in span["attributes"]}
    return Outcome(rows, len(server))


def _answers(influxdb: InfluxDB2) -> dict[tuple[object, object], tuple[int, float]]:
    """Ask InfluxDB; return transactions and seconds by method and route."""
    seconds = {
        (row["http.request.method"], row["http.route"]): (row["requests"], row["seconds"])
        for row in influxdb.influxql(RESPONSE_TIME)
    }
    found = {}
    for row in influxdb.influxql(TRANSACTIONS):
        key = (row["http.request.method"], row["http.route"])
        timed, total_s = seconds.get(key, (0, 0.0))
        # Both metrics must know every request: the smaller figure shows the gap.
        found[key] = (int(min(row["transactions"], timed)), float(total_s))
    return found


def _row(said: dict[str, object], answer: tuple[int, float]) -> Row:
    count, seconds = answer
    return Row(
        method=str(said["method"]),
        route=str(said["route"] or "-"),
        served=int(str(said["transactions"])),
        served_average_s=float(str(said["response_time_mean_s"])),
        answered=count,
        answered_average_s=seconds / count if count else 0.0,
    )


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.backends.pipeline", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=300, help="how many customers come (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flask-chest-pipeline-") as folder:
        try:
            outcome = run(Path(folder), arguments.requests)
        except MissingError as error:
            sys.stderr.write(f"{error}\n")
            return EXIT_MISSING
    verdict = "answers" if outcome.agrees else "does NOT answer"
    sys.stdout.write(f"{outcome}\nInfluxDB {verdict} what was served.\n")
    return 0 if outcome.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
