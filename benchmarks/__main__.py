"""Per-request cost of each variant, as a table with ratios: ``make bench``."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from typing import NamedTuple

from benchmarks.variants import VARIANTS

BARE, UPSTREAM, BY_HAND, QUIET, FULL, ALONE, BY_HAND_OUT, ALONE_OUT = VARIANTS


class Goal(NamedTuple):
    """``(variant - base) / (reference - base)`` is to be at most ``most``."""

    variant: str
    reference: str
    base: str
    most: float


GOALS = (
    Goal(QUIET, BY_HAND, UPSTREAM, 1.0),
    Goal(FULL, BY_HAND, UPSTREAM, 1.15),
    Goal(ALONE, BY_HAND, BARE, 0.45),
    Goal(ALONE_OUT, BY_HAND_OUT, BARE, 0.45),
)


def _one(variant: str) -> float:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", variant], check=True, capture_output=True, text=True
    )
    return float(ran.stdout)


def _measure(rounds: int) -> dict[str, list[float]]:
    """Rounds over all variants rather than variants one by one, so that a slow minute hits all alike."""
    found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for number in range(1, rounds + 1):
        for variant in VARIANTS:
            print(f"\rround {number}/{rounds}: {variant:<40}", end="", file=sys.stderr, flush=True)
            found[variant].append(_one(variant))
    print("\r" + " " * 70 + "\r", end="", file=sys.stderr)
    return found


def _table(found: dict[str, list[float]]) -> str:
    best = {variant: min(times) for variant, times in found.items()}
    lines = [f"{'variant':<40} {'us/request':>10} {'median':>8} {'over bare':>10} {'over upstream':>14}"]
    lines += [
        f"{variant:<40} {best[variant]:10.1f} {statistics.median(times):8.1f} {best[variant] - best[BARE]:10.1f} "
        f"{best[variant] - best[UPSTREAM]:14.1f}"
        for variant, times in found.items()
    ]
    lines += ["", *(_verdict(goal, best) for goal in GOALS)]
    return "\n".join(lines)


def _verdict(goal: Goal, best: dict[str, float]) -> str:
    base = best[goal.base]
    ratio = (best[goal.variant] - base) / (best[goal.reference] - base)
    verdict = "reached" if ratio <= goal.most else "NOT reached"
    return f"{goal.variant}: {ratio:.2f} x {goal.reference} (both over {goal.base}); goal {goal.most:.2f}: {verdict}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="processes per variant (default: %(default)s)")
    arguments = parser.parse_args()
    print(_table(_measure(arguments.rounds)))


if __name__ == "__main__":
    main()
