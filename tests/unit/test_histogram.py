"""The histogram that percentiles come from, against the values themselves."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_chest_otel._base.histogram import RELATIVE_ERROR, SCALE, ZERO, Histogram, bucket_of

DURATIONS = st.lists(st.floats(1e-3, 1e8), min_size=1, max_size=200)


def true_quantile(values: list[float], share: float) -> float:
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


@given(values=DURATIONS, share=st.floats(0, 1))
def test_quantiles_are_near_the_truth(values: list[float], share: float) -> None:
    """Every percentile is at most 2 % beside the value of nearest rank, and as near as the module says."""
    expected = true_quantile(values, share)
    found = Histogram(values).quantile(share)
    assert found is not None
    assert abs(found / expected - 1) <= RELATIVE_ERROR + 1e-9 <= 0.02


@given(parts=st.lists(st.lists(st.floats(0, 1e8), max_size=50), max_size=5))
def test_merging_is_adding(parts: list[list[float]]) -> None:
    """Histograms of parts, merged or encoded and merged, are the histogram of all values."""
    merged, decoded = Histogram(), Histogram()
    for part in parts:
        merged.merge(Histogram(part))
        decoded.merge_encoded(Histogram(part).encode())
    everything = Histogram(value for part in parts for value in part)
    assert merged == decoded == everything
    assert everything.count == sum(map(len, parts))


@pytest.mark.parametrize("times", [1, 255, 256, 65_536, 2**32])
def test_counts_of_any_size_come_back(times: int) -> None:
    """A histogram comes back from its bytes, however large its counts are."""
    one = Histogram([0.0, 1.5, 1e300])
    one.buckets = dict.fromkeys(one.buckets, times)
    assert Histogram.decode(one.encode()) == one
    assert one.count == 3 * times


@given(value=st.floats(1e-300, 1e300))
def test_buckets_are_opentelemetry_s(value: float) -> None:
    """A value lies above the lower bound of its bucket and not above the upper, at the scale that is said."""
    index = bucket_of(value)
    power = Fraction(value) ** (1 << SCALE)
    near = Fraction(1, 10**12)
    assert Fraction(2) ** index * (1 - near) <= power <= Fraction(2) ** (index + 1) * (1 + near)


def test_powers_of_two_close_a_bucket() -> None:
    """An exact power of two is the upper bound of its bucket, as the specification says."""
    assert [bucket_of(value) for value in (1.0, 2.0, 4.0, 0.5)] == [-1, 31, 63, -33]


def test_what_is_no_positive_number_is_zero() -> None:
    """Zero, negative numbers, NaN and infinity share the bucket of zero; the smallest number has one of its own."""
    assert Histogram([0.0, -1.0, math.nan, math.inf]).buckets == {ZERO: 4}
    assert bucket_of(5e-324) == ZERO + 1
    assert Histogram([0.0]).quantile(0.5) == 0.0
    assert Histogram().quantile(0.5) is None


@given(data=st.binary(max_size=40))
def test_damaged_bytes_raise_nothing(data: bytes) -> None:
    """Whatever is found in its place, a histogram is read, or is empty."""
    assert Histogram.decode(data).count >= 0


def test_a_minute_of_a_route_takes_few_bytes() -> None:
    """Ten thousand durations of a usual spread take less than a kilobyte."""
    spread = random.Random(1)
    assert len(Histogram(spread.lognormvariate(3, 0.5) for _ in range(10_000)).encode()) < 1000
