"""Two groups of requests side by side."""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._analysis.chance import difference_of_shares, rank_chance
from flask_chest_otel._analysis.compare import Comparison, Group, Measure, compare, quantile
from flask_chest_otel._analysis.times import Span

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND_NS = 10**9


def route_ms(random: Random) -> float:
    """How long one request of a route takes: log-normal, median 40 ms, P95 1.75 times that."""
    return 40 * random.lognormvariate(0, 0.34)


def site_ms(random: Random) -> float:
    """The same of an application with quick routes and slow ones."""
    return random.choices([6, 40, 250], [5, 4, 1])[0] * random.lognormvariate(0, 0.4)


def group(
    seed: str, time_ms: Callable[[Random], float] = route_ms, count: int = 500, error: float = 0.02, rate: float = 5
) -> Group:
    """Requests that come one by one, by chance, ``rate`` per second."""
    random = Random(seed)
    start, starts = 0.0, []
    for _ in range(count):
        start += random.expovariate(rate)
        starts.append(int(start * SECOND_NS))
    errors = sum(random.random() < error for _ in range(count))
    return Group(starts, [time_ms(random) for _ in range(count)], errors)


def by_name(found: Comparison) -> dict[str, Measure]:
    return {one.name: one for one in found.measures}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_a_slower_p95_is_found(seed: int) -> None:
    """20 % more, of 500 requests against 500, is seen in P95, and the interval has the truth in it most of the time."""
    found = by_name(compare(group(f"a {seed}"), group(f"b {seed}", lambda random: 1.2 * route_ms(random))))
    p95 = found["p95"]
    assert p95.differs
    assert p95.low is not None
    assert p95.low > 0
    assert found["p50"].differs


@pytest.mark.slow
@pytest.mark.parametrize("time_ms", [route_ms, site_ms])
def test_like_with_like(time_ms: Callable[[Random], float]) -> None:
    """Of 200 comparisons of the same with the same, at most 5 in 100 name any difference at all."""
    alarms = 0
    for seed in range(200):
        found = compare(group(f"a {seed}", time_ms), group(f"b {seed}", time_ms))
        alarms += any(one.differs for one in found.measures)
    assert alarms <= 10


@pytest.mark.slow
def test_intervals_hold_the_truth() -> None:
    """The interval of P95's change, 20 % here, misses it about once in 20 times."""
    inside = 0
    for seed in range(200):
        slower = group(f"slower {seed}", lambda random: 1.2 * route_ms(random))
        p95 = by_name(compare(group(f"before {seed}"), slower))["p95"]
        assert p95.low is not None
        assert p95.high is not None
        inside += p95.low <= 0.2 <= p95.high
    assert 180 <= inside <= 198


def test_errors() -> None:
    """A share that doubles is seen with enough requests, as a difference of shares; a few more errors are chance."""
    errors = by_name(compare(group("a", count=3000), group("b", count=3000, error=0.05)))["errors"]
    assert errors.differs
    assert errors.change == pytest.approx(0.03, abs=0.01)
    assert not by_name(compare(group("a"), group("b", error=0.03)))["errors"].differs
    none = by_name(compare(group("a", error=0), group("b", error=0)))["errors"]
    assert (none.a, none.b, none.change, none.differs) == (0, 0, 0, False)


def test_rate() -> None:
    """Half as many more per second is seen; requests that come in bursts have to differ by more."""
    assert by_name(compare(group("a"), group("b", rate=7.5)))["rate"].differs
    burst = [start // 20 if number < 250 else start for number, start in enumerate(group("a").starts_unix_ns)]
    uneven = Group(burst, group("a").durations_ms, 0)
    rate = by_name(compare(uneven, group("b", rate=7.5)))["rate"]
    assert not rate.differs
    assert rate.change == pytest.approx(0.5, abs=0.2)


def test_a_span_that_was_asked_for() -> None:
    """The rate is that of the whole span, also where requests fill a part of it."""
    half = Group([0, SECOND_NS], [1.0, 1.0], 0, Span(0, 4 * SECOND_NS))
    assert by_name(compare(half, half))["rate"].a == 0.5


def test_one_request_each() -> None:
    """Two requests can be compared, and nothing differs: their rate cannot be said."""
    found = by_name(compare(Group([1], [0.0], 1), Group([2], [1000.0], 0)))
    assert not any(one.differs for one in found.values())
    assert (found["rate"].a, found["rate"].change) == (None, None)


def test_the_same_each_time() -> None:
    """Intervals do not depend on chance of ours."""
    assert compare(group("a"), group("b")) == compare(group("a"), group("b"))


def test_quantile() -> None:
    """Between two values in proportion; the ends are the smallest and the largest."""
    assert [quantile([1, 2, 3, 4], part) for part in (0, 0.5, 0.95, 1)] == pytest.approx([1, 2.5, 3.85, 4])


def test_chances_of_the_books() -> None:
    """The interval is Newcombe's own example (1998, table II, a); the ranks are counted by hand: U is 2, two ties."""
    assert difference_of_shares((48, 80), (56, 70), 0.05) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    z = (12.5 - 2) / math.sqrt(25 / 12 * (11 - 12 / 90))
    assert rank_chance([1, 2, 3, 4, 5], [4, 5, 6, 7, 8]) == pytest.approx(2 * (1 - NormalDist().cdf(z)))
