"""Per-request cost of each variant, as a table with ratios: ``make bench``."""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@contextmanager
def _processes() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """One process per variant, all alive, each measuring only when it is its turn."""
    command = [sys.executable, "-m", "benchmarks.measure"]
    with ExitStack() as stack:
        started = {
            variant: stack.enter_context(
                subprocess.Popen([*command, variant], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for variant in VARIANTS
        }
        for process in started.values():
            _line(process)
        yield started


def _line(process: subprocess.Popen[str]) -> str:
    if process.stdout is None:
        raise RuntimeError("started with a pipe")
    return process.stdout.readline()


def _turn(process: subprocess.Popen[str]) -> float:
    if process.stdin is None:
        raise RuntimeError("started with a pipe")
    process.stdin.write("\n")
    process.stdin.flush()
    return float(_line(process))


def _measure(rounds: int) -> dict[str, list[float]]:
    """Turns of a few milliseconds, in changing order: whatever else the machine does hits all variants alike."""
    found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    order = list(VARIANTS)
    with _processes() as processes:
        for number in range(1, rounds + 1):
            print(f"\rround {number}/{rounds}", end="", file=sys.stderr, flush=True)
            random.shuffle(order)
            for variant in order:
                found[variant].append(_turn(processes[variant]))
    print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
    return found


def _over(found: dict[str, list[float]], variant: str, base: str) -> float:
    """What a variant costs more than another: the median of the differences of each round."""
    return statistics.median(one - other for one, other in zip(found[variant], found[base], strict=True))


def _table(found: dict[str, list[float]]) -> str:
    lines = [f"{'variant':<40} {'us/request':>10} {'best':>8} {'over bare':>10} {'over upstream':>14}"]
    lines += [
        f"{variant:<40} {statistics.median(times):10.1f} {min(times):8.1f} {_over(found, variant, BARE):10.1f} "
        f"{_over(found, variant, UPSTREAM):14.1f}"
        for variant, times in found.items()
    ]
    lines += ["", *(_verdict(goal, found) for goal in GOALS)]
    return "\n".join(lines)


def _verdict(goal: Goal, found: dict[str, list[float]]) -> str:
    ratio = _over(found, goal.variant, goal.base) / _over(found, goal.reference, goal.base)
    verdict = "reached" if ratio <= goal.most else "NOT reached"
    return f"{goal.variant}: {ratio:.2f} x {goal.reference} (both over {goal.base}); goal {goal.most:.2f}: {verdict}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="turns of each variant (default: %(default)s)")
    arguments = parser.parse_args()
    print(_table(_measure(arguments.rounds)))


if __name__ == "__main__":
    main()
