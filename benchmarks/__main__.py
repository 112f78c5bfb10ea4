"""Per-request cost of each variant, as a table with ratios: ``make bench``."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

from benchmarks.variants import VARIANTS

BARE, UPSTREAM, BY_HAND, QUIET, FULL = VARIANTS
GOALS = {QUIET: 1.0, FULL: 1.15}


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
    by_hand = best[BY_HAND] - best[UPSTREAM]
    lines = [
        f"{'variant':<40} {'us/request':>10} {'median':>8} {'over bare':>10} {'over upstream':>14} {'/ by hand':>10}",
    ]
    for variant, times in found.items():
        over_upstream = best[variant] - best[UPSTREAM]
        ratio = f"{over_upstream / by_hand:10.2f}" if variant not in (BARE, UPSTREAM) else " " * 10
        lines.append(
            f"{variant:<40} {best[variant]:10.1f} {statistics.median(times):8.1f} {best[variant] - best[BARE]:10.1f} "
            f"{over_upstream:14.1f} {ratio}"
        )
    lines.append("")
    for variant, goal in GOALS.items():
        ratio_found = (best[variant] - best[UPSTREAM]) / by_hand
        verdict = "reached" if ratio_found <= goal else "NOT reached"
        lines.append(f"{variant}: {ratio_found:.2f} x what is added by hand; goal {goal:.2f}: {verdict}")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="processes per variant (default: %(default)s)")
    arguments = parser.parse_args()
    print(_table(_measure(arguments.rounds)))


if __name__ == "__main__":
    main()
