"""Customers for the shop: the same few hundred requests each time, and a report of what the shop answered.

    python -m examples.shop.traffic --url http://127.0.0.1:8000 --requests 300 [--json]

Everything in the report is taken from responses, not from telemetry: it is what telemetry is compared with.
Standard library only, so that it runs wherever there is a Python.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import random
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flask import Flask

__all__ = ["Answer", "Step", "in_process", "over_http", "plan", "report", "run", "say"]

LAST_IDS = 5
"""Request ids that the report shows, of the last requests."""

RESPONSE_TIME_HEADER = "X-Response-Time"

_PRODUCTS = ("tea", "mug", "kettle", "tray")
_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Step:
    """One request to make.

    Attributes:
        method: HTTP method.
        path: Where to.
        route: The URL rule that it should match; ``None``: none.
        recorded: Whether the shop's telemetry should see it.
        headers: Request headers.
        body: A JSON document, or ``None``.
    """

    method: str
    path: str
    route: str | None
    recorded: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: HTTP status code.
        response_time_s: What the shop says it took, seconds; ``None`` where it says nothing.
        request_id: ``X-Request-ID`` of the response, or ``None``.
    """

    status: int
    response_time_s: float | None
    request_id: str | None


def plan(requests: int, seed: int = 1) -> list[Step]:
    """The requests of ``seed``: the same list on every machine."""
    chance = random.Random(seed)
    return [_step(number, chance) for number in range(1, requests + 1)]


def run(steps: Iterable[Step], send: Callable[[Step], Answer], clients: int = 1) -> list[tuple[Step, Answer]]:
    """Make all requests, ``clients`` at a time; in the order of ``steps``."""
    steps = list(steps)
    with ThreadPoolExecutor(clients) as pool:
        return list(zip(steps, pool.map(send, steps), strict=True))


def in_process(app: Flask) -> Callable[[Step], Answer]:
    """Send requests to an application in this process, without a server."""
    client = app.test_client()

    def send(step: Step) -> Answer:
        # buffered: a streamed response is read to its end.
        response = client.open(step.path, method=step.method, headers=dict(step.headers), json=step.body, buffered=True)
        return _answer(response.status_code, response.headers.get)

    return send


def over_http(url: str) -> Callable[[Step], Answer]:
    """Send requests to a server, one connection for each."""
    base = urlsplit(url)
    kind = http.client.HTTPSConnection if base.scheme == "https" else http.client.HTTPConnection

    def send(step: Step) -> Answer:
        connection = kind(base.hostname or "127.0.0.1", base.port, timeout=_TIMEOUT_S)
        try:
            body = None if step.body is None else json.dumps(step.body)
            headers = {**step.headers, **({} if body is None else {"Content-Type": "application/json"})}
            connection.request(step.method, base.path.rstrip("/") + step.path, body, headers)
            response = connection.getresponse()
            response.read()
            return _answer(response.status, response.headers.get)
        finally:
            connection.close()

    return send


def report(served: list[tuple[Step, Answer]]) -> dict[str, Any]:
    """What the shop served, per route and method; times in seconds, summed exactly."""
    groups: dict[tuple[str | None, str], list[Answer]] = defaultdict(list)
    for step, answer in served:
        if step.recorded:
            groups[step.route, step.method].append(answer)
    routes = [
        {"route": route, "method": method, **_figures(answers)}
        for (route, method), answers in sorted(groups.items(), key=lambda entry: (entry[0][0] or "", entry[0][1]))
    ]
    recorded = [answer for step, answer in served if step.recorded]
    return {
        "routes": routes,
        "total": _figures(recorded),
        "not_recorded": len(served) - len(recorded),
        "last_request_ids": [answer.request_id for answer in recorded[-LAST_IDS:]],
    }


def say(found: dict[str, Any]) -> str:
    """The report as a table for people."""
    lines = [f"{'METHOD':<7} {'ROUTE':<20} {'TRANSACTIONS':>12} {'AVERAGE s':>10} {'SUM s':>10}  STATUSES"]
    for row in [*found["routes"], {"method": "TOTAL", "route": "", **found["total"]}]:
        statuses = " ".join(f"{status}:{count}" for status, count in row["statuses"].items())
        lines.append(
            f"{row['method']:<7} {row['route'] or '-':<20} {row['transactions']:>12} "
            f"{row['response_time_mean_s']:>10.6f} {row['response_time_sum_s']:>10.6f}  {statuses}"
        )
    lines.append(f"last request ids: {' '.join(str(one) for one in found['last_request_ids'])}")
    return "\n".join(lines)


def _figures(answers: list[Answer]) -> dict[str, Any]:
    times = [answer.response_time_s for answer in answers if answer.response_time_s is not None]
    total_s = math.fsum(times)
    return {
        "transactions": len(answers),
        "statuses": dict(sorted(Counter(str(answer.status) for answer in answers).items())),
        "response_time_sum_s": total_s,
        "response_time_mean_s": total_s / len(times) if times else 0.0,
    }


def _answer(status: int, header: Callable[[str], str | None]) -> Answer:
    told = header(RESPONSE_TIME_HEADER)
    return Answer(status, float(told) if told else None, header("X-Request-ID"))


def _step(number: int, chance: random.Random) -> Step:
    make = chance.choices(list(_KINDS), list(_KINDS.values()))[0]
    step = make(chance)
    headers = {"X-User": f"u{chance.randint(1, 20)}"}
    if chance.choice((True, False)):
        # The others let the shop choose.
        headers["X-Request-ID"] = f"order-{number:04}"
    return replace(step, headers=headers)


def _shelf(_chance: random.Random) -> Step:
    return Step("GET", "/", "/")


def _product(chance: random.Random) -> Step:
    return Step("GET", f"/products/{chance.choice((*_PRODUCTS, 'unicorn'))}", "/products/<name>")


def _lost(chance: random.Random) -> Step:
    return Step("GET", f"/nowhere/{chance.randint(1, 1000)}", None)


def _look(chance: random.Random) -> Step:
    return Step("GET", f"/cart/{chance.randint(1, 50)}", "/cart/<int:cart_id>")


def _fill(chance: random.Random) -> Step:
    return Step("POST", f"/cart/{chance.randint(1, 50)}", "/cart/<int:cart_id>", body=_order(chance))


def _buy(chance: random.Random) -> Step:
    # Cards that end in 0000 are declined.
    card = f"4000 0000 0000 {chance.choice(('0000', '1881', '4242', '5556'))}"
    return Step("POST", "/checkout", "/checkout", body={**_order(chance), "card_number": card})


def _export(_chance: random.Random) -> Step:
    return Step("GET", "/export", "/export")


def _health(_chance: random.Random) -> Step:
    return Step("GET", "/health", "/health", recorded=False)


def _order(chance: random.Random) -> dict[str, Any]:
    items = chance.choices(_PRODUCTS, (6, 5, 3, 1), k=chance.randint(1, 4))
    return {"plan": chance.choice(("free", "gold")), "items": items}


_KINDS = {_shelf: 15, _product: 15, _lost: 4, _look: 20, _fill: 25, _buy: 12, _export: 4, _health: 5}
"""What customers do, and how often."""


def main(arguments: list[str] | None = None) -> int:
    """Send the traffic to a server and print the report."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop.traffic", description="Requests for the shop.")
    parser.add_argument("--url", required=True, help="where the shop listens, for example http://127.0.0.1:8000")
    parser.add_argument("--requests", type=int, default=300, help="how many requests (default: 300)")
    parser.add_argument("--clients", type=int, default=4, help="how many at a time (default: 4)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same requests (default: 1)")
    parser.add_argument("--json", action="store_true", help="report as JSON")
    given = parser.parse_args(arguments)
    found = report(run(plan(given.requests, given.seed), over_http(given.url), given.clients))
    print(json.dumps(found, indent=2) if given.json else say(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
