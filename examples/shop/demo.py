"""``make demo``: serve a few hundred requests in this process, then ask ``flask chest`` what was recorded.

The commands that are shown are the commands that are run; they can be pasted.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from examples.shop import traffic
from examples.shop.app import BAD_VERSION, create_app

__all__ = ["main"]

STORE = "flask_chest.sqlite3"
FLUSH_S = 10.0
GOOD_VERSION = "1.4.0"


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; the exit status is that of the last command that failed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m examples.shop.demo", description="Show what the chest records.")
    parser.add_argument(
        "--folder", type=Path, default=Path("instance"), help="where the store goes (default: instance)"
    )
    parser.add_argument("--requests", type=int, default=600, help="how many requests (default: 600)")
    given = parser.parse_args(arguments)
    store = serve(given.folder, given.requests)
    failed = 0
    for title, command in questions(store):
        print(f"\n{title}\n\n$ {shlex.join(command)}", flush=True)
        failed = subprocess.run(command, check=False).returncode or failed  # noqa: S603 - our own command
    print("\nTo look further:\n")
    for title, command in further(store):
        print(f"  # {title}\n  {shlex.join(command)}")
    print(f"\nAnd as pages, in the browser:\n\n  {shlex.join(_chest('serve', store, '--open'))}")
    return failed


def serve(folder: Path, requests: int) -> Path:
    """Serve the requests with a fresh store in ``folder``; returns its path."""
    store = folder / STORE
    for end in ("", "-wal", "-shm"):
        store.with_name(store.name + end).unlink(missing_ok=True)
    # Whatever this shell has set up for OpenTelemetry: the demonstration is about the embedded store.
    os.environ["FLASK_CHEST_EXPORT"] = "store"
    steps = traffic.plan(requests)
    unrecorded = sum(not step.recorded for step in steps)
    print(f"The shop serves {requests} requests: some fail, some stream; {unrecorded} health checks are not recorded.")
    print(f"Half of them are served by a new version, {BAD_VERSION}, in which something is wrong.")
    started = time.perf_counter()
    for version, some in ((GOOD_VERSION, steps[: requests // 2]), (BAD_VERSION, steps[requests // 2 :])):
        app = create_app(str(folder.absolute()), version=version, shows_queries=True)
        # Some requests fail on purpose, and their tracebacks would fill the screen.
        app.logger.handlers[:] = [logging.NullHandler()]
        app.logger.propagate = False
        traffic.run(some, traffic.in_process(app))
        app.extensions["flask_chest"].force_flush(FLUSH_S)
    print(f"Done in {time.perf_counter() - started:.1f} s. Everything is in {store}.")
    return store


def questions(store: Path) -> list[tuple[str, list[str]]]:
    """What is asked and shown: a title and a command each."""
    return [
        ("How many requests, how they ended, how long they took, per route and method:", _chest("stats", store)),
        (
            "The bank's error is new. What is different about these requests?",
            _chest("explain", store, "--error", "BankError"),
        ),
        (
            "How its objectives stand: what is left of the requests that may be bad, and how fast that is spent:",
            [_flask(), "--app", "examples.shop.app", "chest", "slo", "status", "--store", str(store)],
        ),
        ("The last requests, their variables, request ids and trace ids:", _chest("requests", store, "--limit", "8")),
    ]


def further(store: Path) -> list[tuple[str, list[str]]]:
    """Commands to paste: a title and a command each."""
    compared = _chest("compare", store, GOOD_VERSION, BAD_VERSION)
    return [
        ("requests that failed, with the values that they had set", _chest("requests", store, "--status", "5xx")),
        ("which exceptions, how often, since when", _chest("errors", store)),
        ("whether the new version is worse than the old one, by more than chance", compared),
        ("everything about one request that failed", _chest("show", store, "order-0551")),
        ("which objectives suit this history", _chest("slo", store, "suggest")),
        ("carts of one user", _chest("requests", store, "--var", "user_id=u7", "--var", "cart_total")),
        ("one route, for a program", _chest("stats", store, "--route", "/cart/<int:cart_id>", "--json")),
        ("from a request id to its trace", _chest("trace-id", store, "order-0003")),
        ("everything else", [_flask(), "chest", "--help"]),
    ]


def _chest(name: str, store: Path, *arguments: str) -> list[str]:
    return [_flask(), "chest", name, *arguments, "--store", str(store)]


def _flask() -> str:
    """The ``flask`` command of this environment, as short as it can be typed here."""
    command = Path(sys.executable).with_name("flask")
    return os.path.relpath(command) if command.is_relative_to(Path.cwd()) else str(command)


if __name__ == "__main__":
    sys.exit(main())
