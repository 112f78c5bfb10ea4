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

BARE, UPSTREAM, BY_HAND, QUIET, FULL, ALONE, BY_HAND_OUT, ALONE_OUT, ZERO_CODE, OWN, OWN_OUT = VARIANTS


class Goal(NamedTuple):
    """``(variant - base) / (reference - base)`` is to be at most ``most``."""

    variant: str
    reference: str
    base: str
    most: float


GOALS = (
    Goal(QUIET, BY_HAND, UPSTREAM, 1.0),
    Goal(FULL, BY_HAND, UPSTREAM, 1.15),
    Goal(ALONE, BY_HAND, BARE, 0.30),
    Goal(ALONE_OUT, BY_HAND_OUT, BARE, 0.25),
    Goal(ZERO_CODE, BY_HAND, BARE, 0.30),
    Goal(OWN, BY_HAND, BARE, 0.30),
    Goal(OWN_OUT, BY_HAND_OUT, BARE, 0.25),
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


Times = dict[str, list[float]]
"""Variant to microseconds per request, one figure per round."""


def _measure(rounds: int, series: int) -> list[Times]:
    """Turns of a few milliseconds, in changing order: whatever else the machine does hits all variants alike.

    Each series has fresh processes: where a process has its code and objects in memory makes it a few per cent faster
    or slower for as long as it lives, and what is measured here are differences of a few per cent.
    """
    found: list[Times] = []
    order = list(VARIANTS)
    for number in range(1, series + 1):
        times: Times = {variant: [] for variant in VARIANTS}
        with _processes() as processes:
            for turn in range(1, rounds + 1):
                print(f"\rseries {number}/{series}, round {turn}/{rounds} ", end="", file=sys.stderr, flush=True)
                random.shuffle(order)
                for variant in order:
                    times[variant].append(_turn(processes[variant]))
        found.append(times)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return found


def _over(found: list[Times], variant: str, base: str) -> float:
    """What a variant costs more than another: the median of the differences of each round."""
    return statistics.median(
        one - other for times in found for one, other in zip(times[variant], times[base], strict=True)
    )


def _table(found: list[Times]) -> str:
    lines = [f"{'variant':<44} {'us/request':>10} {'best':>8} {'over bare':>10} {'over upstream':>14}"]
    for variant in VARIANTS:
        all_times = [time for times in found for time in times[variant]]
        lines.append(
            f"{variant:<44} {statistics.median(all_times):10.1f} {min(all_times):8.1f} "
            f"{_over(found, variant, BARE):10.1f} {_over(found, variant, UPSTREAM):14.1f}"
        )
    return "\n".join([*lines, "", *(_verdict(goal, found) for goal in GOALS)])


def _ratio(goal: Goal, found: list[Times]) -> float:
    return _over(found, goal.variant, goal.base) / _over(found, goal.reference, goal.base)


def _verdict(goal: Goal, found: list[Times]) -> str:
    ratio = _ratio(goal, found)
    each = sorted(_ratio(goal, [times]) for times in found)
    verdict = "reached" if ratio <= goal.most else "NOT reached"
    return (
        f"{goal.variant}: {ratio:.2f} x {goal.reference} (both over {goal.base}; single series {each[0]:.2f} to "
        f"{each[-1]:.2f}); goal {goal.most:.2f}: {verdict}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=20, help="turns of each variant and series (default: %(default)s)"
    )
    parser.add_argument("--series", type=int, default=6, help="series, each of fresh processes (default: %(default)s)")
    arguments = parser.parse_args()
    print(_table(_measure(arguments.rounds, arguments.series)))


if __name__ == "__main__":
    main()
