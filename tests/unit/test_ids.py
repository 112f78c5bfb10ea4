"""The laws of request ids: legal form, fresh ids, and the mapping to trace ids."""

from __future__ import annotations

import math
import random
import subprocess
import sys
import uuid
from collections import Counter
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from flask_chest_otel import ChestConfigError, ids, trace_id_for
from flask_chest_otel.ids import MAX_CHARS, format_trace_id, is_legal, legalise, map_request_id, random_id

if TYPE_CHECKING:
    from collections.abc import Callable

SIGMAS = 5
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:=/+@-"
TEXTS = st.text(st.characters(), max_size=300)
quick = settings(deadline=None)


def uuid1s(count: int) -> list[str]:
    """Time-based UUIDs of one host, 1 ms (10 000 ticks) apart."""
    start = 0x1EF0_0000_0000_000
    ticks = (start + 10_000 * i for i in range(count))
    return [
        str(uuid.UUID(fields=(t & 0xFFFFFFFF, t >> 32 & 0xFFFF, t >> 48 & 0xFFF, 0x92, 7, 0x0242AC110002), version=1))
        for t in ticks
    ]


def uuid4s(count: int) -> list[str]:
    rng = random.Random(4)
    return [str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in range(count)]


def uuid7s(count: int) -> list[str]:
    """RFC 9562, section 5.7: 48 bits of Unix milliseconds, version, 12 random bits, variant, 62 random bits."""
    rng = random.Random(7)
    made = []
    for i in range(count):
        value = (1_760_000_000_000 + i) << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62)
        made.append(str(uuid.UUID(int=value)))
    return made


def counters(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def timestamps(count: int) -> list[str]:
    start = datetime(2026, 1, 31, 23, 59, 50, tzinfo=timezone.utc)
    return [(start + timedelta(microseconds=1371 * i)).strftime("%Y%m%d%H%M%S%f") for i in range(count)]


KINDS = [uuid1s, uuid4s, uuid7s, counters, timestamps]


def worst_byte(trace_ids: list[int], low_bytes: int) -> float:
    """The largest deviation of chi-square from its mean, in sigmas, over each of the low bytes."""
    expected = len(trace_ids) / 256
    worst = 0.0
    for position in range(low_bytes):
        seen = Counter(trace_id >> 8 * position & 0xFF for trace_id in trace_ids)
        chi_square = sum((seen[byte] - expected) ** 2 / expected for byte in range(256))
        worst = max(worst, abs(chi_square - 255) / math.sqrt(2 * 255))
    return worst


def is_kept(sampler: TraceIdRatioBased, trace_id: int) -> bool:
    return sampler.should_sample(None, trace_id, "GET /").decision is Decision.RECORD_AND_SAMPLE


def sampled_deviation(trace_ids: list[int], rate: float) -> float:
    """How far the sampler's kept fraction is from the rate, in sigmas of a binomial distribution."""
    kept = sum(is_kept(TraceIdRatioBased(rate), trace_id) for trace_id in trace_ids)
    return abs(kept - rate * len(trace_ids)) / math.sqrt(len(trace_ids) * rate * (1 - rate))


@cache
def mapped(make: Callable[[int], list[str]], count: int) -> list[int]:
    return [map_request_id(each) for each in make(count)]


@pytest.mark.slow
@pytest.mark.parametrize("low_bytes", [7, 8])
@pytest.mark.parametrize("make", KINDS)
def test_the_low_bits_are_uniform(make: Callable[[int], list[str]], low_bytes: int) -> None:
    """Whatever the ids look like, each of the low 7 (W3C "random") and 8 (sampler) bytes is uniform."""
    assert worst_byte(mapped(make, 20_000), low_bytes) < SIGMAS


@pytest.mark.parametrize("make", [uuid1s, uuid4s, uuid7s])
def test_the_yardstick_sees_verbatim_uuids(make: Callable[[int], list[str]]) -> None:
    """UUIDs taken over as they are fail the test of uniformity by far: the yardstick measures."""
    assert worst_byte([uuid.UUID(each).int for each in make(20_000)], 8) > 100 * SIGMAS


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("make", KINDS)
def test_the_sampler_keeps_its_rate(make: Callable[[int], list[str]], rate: float) -> None:
    """The SDK's ratio sampler keeps the fraction it was asked for, within 5 sigma."""
    assert sampled_deviation(mapped(make, 5_000), rate) < SIGMAS


def test_the_sampler_keeps_no_verbatim_uuid() -> None:
    """At a rate of 0.5 nothing of verbatim UUIDs is kept, which is why they are hashed."""
    sampler = TraceIdRatioBased(0.5)
    assert not any(is_kept(sampler, uuid.UUID(each).int) for each in uuid4s(1_000))


@quick
@given(TEXTS, st.none() | TEXTS)
def test_the_mapping_is_total_and_repeats(request_id: str, secret: str | None) -> None:
    """Any text and secret, also with lone surrogates, give the same trace id each time, of 1 to 2^128 - 1."""
    mapped = map_request_id(request_id, secret)
    assert mapped == map_request_id(request_id, secret)
    assert 0 < mapped < 2**128


@quick
@given(st.sets(TEXTS.filter(bool), min_size=2, max_size=2), TEXTS)
def test_secrets_tell_apart(secrets: set[str], request_id: str) -> None:
    """Different secrets give different trace ids, and so does none."""
    assert len({map_request_id(request_id, secret) for secret in (*secrets, None)}) == 3


def test_long_secrets_count_to_their_end() -> None:
    """A secret beyond BLAKE2b's 64 bytes is hashed and not cut."""
    assert map_request_id("r-17", "k" * 70 + "a") != map_request_id("r-17", "k" * 70 + "b")
    assert map_request_id("r-17", "é" * 32) != map_request_id("r-17", "é" * 33)


def test_an_empty_secret_is_none() -> None:
    """An empty secret is the same as no secret."""
    assert map_request_id("r-17", "") == map_request_id("r-17", None)


@quick
@given(st.uuids(), st.sampled_from("0123456789abcdefABCDEF"), st.booleans())
def test_uuids_survive_case_and_version(value: uuid.UUID, nibble: str, upper: bool) -> None:
    """A proxy that rewrites a UUID's case or version nibble does not change its trace."""
    text = str(value)
    rewritten = text[:14] + nibble + text[15:]
    assert map_request_id(rewritten.upper() if upper else rewritten) == map_request_id(text)


@quick
@given(st.uuids(), st.integers(0, 35).filter(lambda i: i not in {8, 13, 14, 18, 23}), st.integers(1, 15))
def test_any_other_digit_of_a_uuid_counts(value: uuid.UUID, position: int, shift: int) -> None:
    """UUIDs that differ in any digit but the version nibble have different traces."""
    text = str(value)
    digit = f"{(int(text[position], 16) + shift) % 16:x}"
    assert map_request_id(text[:position] + digit + text[position + 1 :]) != map_request_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "01234567-89ab-4def-0123-456789abcdeg",  # g is no digit
        "01234567-89ab-4def-0123_456789abcdef",  # _ is no hyphen
        "01234567-89ab-4def-0123-456789abcdef0",  # 37 characters
        "0123456789ab4def0123456789abcdef",  # not the canonical form
        "012345678-9ab-4def-0123-456789abcde",  # hyphens elsewhere
    ],
)
def test_only_canonical_uuids_are_normalised(text: str) -> None:
    """What is no canonical UUID is taken letter by letter, in its case."""
    assert map_request_id(text) != map_request_id(text.upper())


@pytest.mark.parametrize(
    ("request_id", "secret", "expected"),
    [
        ("", None, "76a1a88f3704d5498ebee6eee6cd14fc"),
        ("r-17", None, "15b42a5e9f9e058ae35bc8ff5c3128a3"),
        ("r-17", "key", "df0ca486180913b9628aa4fd1ebb3697"),
        ("r-17", "k" * 65, "bc6f843ad4f196333d1d82671b464cb8"),
        ("20260131235950000000", None, "e58c650e12c833cddb3e470aa5d87b4f"),
        ("6F9619FF-8B86-4011-B42D-00C04FC964FF", None, "2e83e86021952d9a2d667dffec423f7f"),
        ("6f9619ff-8b86-d011-b42d-00c04fc964ff", "key", "a8f64f52e54c0e165658630f2b3bef18"),
        ("größe\ud800", None, "dc6482cceda2cd027b1d6ccc5c1aa423"),
    ],
)
def test_the_mapping_never_changes(request_id: str, secret: str | None, expected: str) -> None:
    """The mapping is a contract with stored traces: these values hold for ever."""
    assert format_trace_id(map_request_id(request_id, secret)) == expected


def test_a_zero_hash_becomes_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a digest of zeros, which nobody can find, gives a valid trace id."""

    class Zeros:
        def copy(self) -> Zeros:
            return self

        def update(self, data: bytes) -> None:
            assert data

        def digest(self) -> bytes:
            return bytes(16)

    monkeypatch.setattr(ids, "_prepared", lambda _secret: Zeros())
    assert map_request_id("r-17") == 1


def test_random_ids_are_fresh_and_well_formed() -> None:
    """Ten thousand random ids are 32 lower-case hexadecimal digits each, legal and all different."""
    made = [random_id() for _ in range(10_000)]
    assert len(set(made)) == 10_000
    assert all(len(each) == 32 and set(each) <= set("0123456789abcdef") for each in made)
    assert is_legal(made[0])


def test_random_ids_are_uniform() -> None:
    """Random ids serve as trace ids: all their bytes are uniform (7 sigma, as these are new each time)."""
    assert worst_byte([int(random_id(), 16) for _ in range(20_000)], 16) < SIGMAS + 2


def test_random_ids_do_not_follow_the_applications_seed() -> None:
    """An application that seeds `random` does not repeat its ids after each start."""
    random.seed(0)
    first = random_id()
    random.seed(0)
    assert random_id() != first


@pytest.mark.process
def test_forked_children_do_not_repeat_ids() -> None:
    """Parent and forked children, which share all memory at the fork, make different ids."""
    code = """
import os
from flask_chest_otel.ids import random_id
random_id()
for _ in range(3):
    pid = os.fork()
    if not pid:
        break
os.write(1, (random_id() + "\\n").encode())
if pid:
    [os.wait() for _ in range(3)]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert len(set(done.stdout.split())) == 4


def test_a_random_id_is_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """All zeros, an invalid trace id, are drawn again."""
    draws = iter([bytes(16), bytes(15) + b"\x01"])
    monkeypatch.setattr(ids, "urandom", lambda _size: next(draws))
    assert random_id() == "0" * 31 + "1"


@quick
@given(st.text(st.sampled_from(ALPHABET), min_size=1, max_size=MAX_CHARS))
def test_legal_ids_pass_unchanged(text: str) -> None:
    """Everything made of the 70 characters, up to 255 of them, is legal and stays as it is."""
    assert is_legal(text)
    assert legalise(text) == text


@pytest.mark.parametrize("text", ["", "a\n", "\na", "a b", "a\r\nX: y", "é", "a" * 256, "a;b", "٣", "a\x00"])
def test_illegal_ids_are_refused(text: str) -> None:
    """Nothing empty, too long, of several lines or outside the ASCII set is legal."""
    assert not is_legal(text)


@quick
@given(st.text(st.characters(), max_size=600))
def test_legalise_makes_legal(text: str) -> None:
    """Any text becomes legal, character by character, cut to 255; only "" stays empty."""
    made = legalise(text)
    assert made == "".join(c if c in ALPHABET else "_" for c in text[:255])
    assert is_legal(made) or text == ""


def test_legalise_takes_any_value() -> None:
    """A generator may return a number, a UUID, a subclass of str: the result is an exact str."""

    class Loud(str):
        __slots__ = ()

        def __str__(self) -> str:
            return self

    assert legalise(17) == "17"
    assert legalise(uuid.UUID(int=1)) == "00000000-0000-0000-0000-000000000001"
    assert type(legalise(Loud("a b"))) is str
    assert type(legalise(Loud("ab"))) is str
    assert legalise(Loud("ab")) == "ab"


def test_format_pads_to_32_digits() -> None:
    """Trace ids are written with leading zeros, in lower case."""
    assert format_trace_id(0xABC) == "0" * 29 + "abc"
    assert format_trace_id(2**128 - 1) == "f" * 32


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_id_has_no_trace(nothing: Any) -> None:
    """``None`` and an empty text identify nothing: an error, and not the trace id of their text."""
    with pytest.raises(ChestConfigError, match="a text that is not empty"):
        trace_id_for(nothing)
