"""Makes of stored requests the observations and groups that the analysis takes."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from flask_chest_otel._analysis.compare import Group
from flask_chest_otel._analysis.conditions import Fact
from flask_chest_otel._analysis.explain import Observation
from flask_chest_otel._base.statuses import SERVER_ERROR
from flask_chest_otel._records.schema import began_unix_ns, read_value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from flask_chest_otel._analysis.times import Span
    from flask_chest_otel._store.answers import RequestFacts, VariableFact
    from flask_chest_otel._store.reader import StoreReader
    from flask_chest_otel._store.wanted import Wanted

__all__ = ["ERROR_FACTS", "group_of", "joined", "observations", "same_time", "value_of"]

ERROR_FACTS = frozenset(Fact("request", name) for name in ("status", "error", "place"))
"""Facts that only repeat that a request failed."""

SAME_TIME = (0.8, 1.001)
"""A variable that is between these parts of its request's duration is a measurement of that duration."""

SAME_IN, FEWEST = 0.95, 5
"""Share of the requests with a variable in which that has to be so, and how many requests there have to be."""

MILLISECONDS = 1000


def observations(
    reader: StoreReader, wanted: Wanted, chosen: set[str], left_out: Collection[Fact]
) -> Iterator[Observation]:
    """Yield the facts of each request.

    Args:
        reader: The store.
        wanted: Which requests to read.
        chosen: Keys of the requests that are to be explained.
        left_out: Facts to leave out, because they only repeat why requests were chosen.
    """
    for one, variables in joined(reader.facts(wanted), reader.variable_facts(wanted)):
        known = {Fact("request", name): value for name, value in _of_request(one).items()}
        known |= {Fact("variable", found.name): value_of(found) for found in variables}
        yield Observation(one.key in chosen, {fact: value for fact, value in known.items() if fact not in left_out})


def _of_request(one: RequestFacts) -> dict[str, object]:
    return {
        "route": one.route or "-",
        # The route says the same, and has fewer values.
        "path": one.path if one.route is None else None,
        "version": one.version,
        "status": str(one.status),
        "error": one.error_type,
        "place": one.error_place or None,
        "method": one.method,
        "service": one.service,
    }


def joined(
    facts: Iterable[RequestFacts], variables: Iterable[VariableFact]
) -> Iterator[tuple[RequestFacts, list[VariableFact]]]:
    """Yield requests with their variables; both arguments have to be sorted by key, as the store returns them."""
    groups = groupby(variables, key=attrgetter("key"))
    key, group = next(groups, ("", iter(())))
    for one in facts:
        while key and key < one.key:
            key, group = next(groups, ("", iter(())))
        yield one, list(group) if key == one.key else []


def same_time(reader: StoreReader, chosen: Wanted) -> set[Fact]:
    """Return the variables that hold the duration of their request, in milliseconds or seconds."""
    held: dict[str, list[bool]] = defaultdict(list)
    for one, variables in joined(reader.facts(chosen), reader.variable_facts(chosen)):
        for found in variables:
            parts = [(found.number or 0) * unit / max(one.duration_ms, 1e-9) for unit in (1, MILLISECONDS)]
            held[found.name].append(any(SAME_TIME[0] <= part <= SAME_TIME[1] for part in parts))
    return {
        Fact("variable", name)
        for name, seen in held.items()
        if len(seen) >= FEWEST and sum(seen) >= SAME_IN * len(seen)
    }


def value_of(found: VariableFact) -> object:
    """Return a variable's value; its stored text where that is not of the stored type."""
    try:
        value = read_value(found.type, found.text)
    except ValueError:
        return found.text
    return value if isinstance(value, (str, bool, int, float, list)) else found.text


def group_of(facts: Iterable[RequestFacts], span: Span | None) -> Group:
    """Return the figures of requests for a comparison.

    Args:
        facts: The requests.
        span: The span of time that was asked for, if any.
    """
    starts, durations, errors = [], [], 0
    for one in facts:
        starts.append(began_unix_ns(one.key))
        durations.append(one.duration_ms)
        errors += one.status >= SERVER_ERROR
    return Group(starts, durations, errors, span)
