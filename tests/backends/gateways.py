"""Gateways whose number changes: traces that are sent over a while, and names that a router resolves anew."""

from __future__ import annotations

import itertools
import os
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.backends.collector import Collector
from tests.backends.raw_otlp import post, trace_request
from tests.backends.require import missing, require_installed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

NAME = "gateways.test"
PARTS = ("first", "second", "late")
"""The spans of each trace. The second comes while the first waits for its decision, the last when that is made."""

ERROR_STATUS = 2


class Names:
    """A file of hosts that some processes have in place of the machine's own."""

    def __init__(self, path: Path) -> None:
        if sys.platform != "linux" or os.geteuid() != 0:
            missing("only root can give a process a file of hosts of its own")
        require_installed("unshare", "util-linux")
        self.path = path

    def say(self, addresses: Iterable[str]) -> None:
        """Let the name have these addresses. The file stays the same one: it is mounted."""
        self.path.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {NAME}\n" for address in addresses))


class Router(Collector):
    """A collector that finds its gateways by name."""

    def __init__(self, names: Names, **more: Any) -> None:
        super().__init__(**more)
        self._names = names

    def command(self) -> list[str]:
        """Return the collector, in a name space in which the file of hosts is another."""
        # In a chroot, / is no mount point, and cannot be made private: what called it has to be.
        mounted = f"mount --make-rprivate / 2>/dev/null; mount --bind '{self._names.path}' /etc/hosts && exec \"$@\""
        return ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", mounted, "sh", *super().command()]

    def knows(self) -> int:
        """Return among how many gateways it divides the spans."""
        return int(self.own_metric("otelcol_loadbalancer_num_backends", resolver="dns"))


@dataclass
class Trace:
    """One trace: which of its spans has an error, and when each was sent."""

    failing: str | None
    id: bytes = field(default_factory=lambda: random.randbytes(16))
    sent: dict[str, float] = field(default_factory=dict)

    def crosses(self, changes: Sequence[tuple[float, float]]) -> bool:
        """Return whether a change falls between its spans; each has a beginning and an end."""
        first, last = min(self.sent.values()), max(self.sent.values())
        return any(first < end and last > begin for begin, end in changes)


class Traces:
    """Begins traces all the time and sends their other spans later, until it is stopped; then the rest is sent.

    Args:
        url: Of the agent.
        delays_s: When each span of a trace follows, counted from its beginning.
        per_step: So many traces begin at a time, ten times a second.
    """

    def __init__(self, url: str, delays_s: Sequence[float], per_step: int = 10) -> None:
        self.all: list[Trace] = []
        self._url, self._delays_s, self._per_step = url, delays_s, per_step
        self._failing = itertools.cycle(("first", "second", None, None))
        self._waiting: list[tuple[float, str, list[Trace]]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._done.wait(0.1):
            self._begin()
            self._send_due()
        while self._waiting:
            self._send_due()
            time.sleep(0.1)

    def _begin(self) -> None:
        now = time.monotonic()
        begun = [Trace(next(self._failing)) for _ in range(self._per_step)]
        self.all += begun
        self._waiting += [(now + delay_s, part, begun) for part, delay_s in zip(PARTS, self._delays_s, strict=True)]

    def _send_due(self) -> None:
        now = time.monotonic()
        due = [one for one in self._waiting if one[0] <= now]
        self._waiting = [one for one in self._waiting if one[0] > now]
        for _, part, traces in due:
            self._send(part, traces)

    def _send(self, part: str, traces: list[Trace]) -> None:
        def change(span: Any, number: int) -> None:
            trace = traces[number]
            span.trace_id, span.name = trace.id, part
            if part == trace.failing:
                span.status.code = ERROR_STATUS
            trace.sent[part] = time.monotonic()

        assert post(self._url, "traces", trace_request(len(traces), change=change)) == 200

    def stop(self) -> list[Trace]:
        """Begin no other trace, send what those that have begun still lack, and return all."""
        self._done.set()
        self._thread.join()
        return self.all


def fates(traces: Iterable[Trace], kept: Collection[tuple[str, str]]) -> Counter[str]:
    """Return how many of the traces are kept whole, in part and not at all; `kept` has pairs of trace and span name."""
    counts: Counter[str] = Counter()
    for trace in traces:
        parts = sum((trace.id.hex(), part) in kept for part in PARTS)
        counts["whole" if parts == len(PARTS) else "in part" if parts else "none"] += 1
    return counts
