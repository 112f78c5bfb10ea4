"""Records to put into chests, and scripts that run as processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.backends import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask_chest_otel._records.record import RequestRecord

ROOT = Path(__file__).parents[3]

PREAMBLE = """\
import os, sys, time
import opentelemetry.instrumentation.utils  # as every application has it, before it becomes another user
from flask_chest_otel._records.record import RequestRecord
from flask_chest_otel._store.store import EmbeddedStore
from flask_chest_otel._records.queue import RecordQueue

def record(number, who="a"):
    return RequestRecord(
        start_unix_ns=time.time_ns(), duration_s=0.0125, service="shop", request_id=f"{who}-{number}",
        trace_id=None, span_id=None, method="GET", route="/cart", status=200,
        variables={"number": number, "who": who},
    )

"""


@pytest.fixture
def make_record() -> Callable[..., RequestRecord]:
    """Makes a record, always with the same ids; keywords change fields of it."""
    ids = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}
    return partial(records.make_record, request_id="r-1", **ids)


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python process that has ``record(number, who)`` at hand; its arguments are texts."""
    running: list[subprocess.Popen[str]] = []

    def begin(script: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            # Python 3.12 warns of every fork in a process with threads, which is what is tested here.
            [
                sys.executable,
                "-W",
                "ignore::DeprecationWarning",
                "-c",
                PREAMBLE + textwrap.dedent(script),
                *map(str, arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            # Coverage's own files could not be written where nothing can.
            env={**{key: value for key, value in os.environ.items() if "COVERAGE" not in key}, "PYTHONPATH": str(ROOT)},
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()
