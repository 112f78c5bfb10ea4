"""What every test may ask for, and the hygiene that every test gets."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import re
import subprocess
import sys
import textwrap
from contextlib import ExitStack, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, has_app_context, request
from hypothesis import HealthCheck, settings
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.propagators import set_global_response_propagator
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from flask_chest_otel import FlaskChest, FlaskChestInstrumentor, _guard
from flask_chest_otel._context import propagator
from flask_chest_otel._request.live import live_request
from flask_chest_otel.testing import capture
from tests.backends.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

    from flask_chest_otel.testing import RequestRecord

    Put = Callable[..., list[RequestRecord]]

__all__ = ["Rig"]

HERE = Path(__file__).parent

_OURS = ("OTEL_", "FLASK_")

# How long hypothesis takes to make values says something of the machine, and nothing of this package.
settings.register_profile("chest", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# `make test-fast` asks for it.
settings.register_profile("fast", settings.get_profile("chest"), max_examples=15)
settings.load_profile("chest")
_numbers = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "guard_on: errors of ours are swallowed, as in production")


ALONE = (
    "docs/test_examples.py",
    "faults/test_ends.py",
    "faults/test_locked.py",
    "faults/test_request_events.py",
    "integration/chests/test_faults.py",
    "integration/chests/test_sql_faults.py",
    "integration/chests/test_webhook.py",
)
"""Files whose tests all depend on how long something takes by the clock: nothing may run beside them.

In other files the tests of which this is true have the mark ``alone``.
"""

STARTERS = {"run_python", "start_python"}
"""Fixtures that start a process for each test which asks for them."""

OURS_ALONE = {
    *("_base", "names", "ids", "errors", "tracked", "slo", "_guard", "_values"),
    *("config", "_records", "_store", "_analysis"),
}
"""Rooms of the package that import Python's own modules alone: tests/unit/test_architecture.py holds that."""

IMPORT = re.compile(r"^ *(?:from (\S+) import ([^(\n]*)|import (\S+))", re.MULTILINE)

APPLICATIONS = {"rig", "put", "app", "chest"}
"""Fixtures that bring Flask."""

LONGEST = (
    "collector/test_stop.py",
    "docs/test_pages.py",
    "unit/cli/test_doctor.py",
    "collector/test_alerts.py",
    "viewer/test_browser.py",
    "unit/analysis/test_compare.py",
)
"""Files that begin first, side by side: a long file that begins last would leave the other cores idle."""

WAITING = {"collector", "faults", "integration"}
"""Folders whose tests wait for servers, most of their time. Others compute: the two kinds go side by side."""

WAITING_ARE_THROUGH = 0.8
"""Behind this part of all files no waiting ones begin: they are the longer ones."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what starts processes and what holds a time, and say what begins first."""
    alone = [HERE / name for name in ALONE]
    for item in items:
        if _is_own(item):
            item.add_marker("own")
        if not STARTERS.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("process")
        if any(item.path.is_relative_to(one) for one in alone):
            item.add_marker("alone")
    if hasattr(config, "workerinput"):
        places = _places(dict.fromkeys(item.path for item in items))
        items.sort(key=lambda item: (places[item.path], str(item.path), _starts_a_process(item)))
    else:
        items.sort(key=_starts_a_process)


def _places(paths: Iterable[Path]) -> dict[Path, float]:
    """When each file begins, side by side: from 0, first, to 1; files that wait and files that compute take turns."""
    names = {path: path.relative_to(HERE) for path in paths}
    waiting = [path for path, name in names.items() if name.parts[0] in WAITING]
    computing = [path for path in names if path not in waiting]
    places = {path: WAITING_ARE_THROUGH * number / len(waiting) for number, path in enumerate(waiting)}
    places |= {path: number / len(computing) for number, path in enumerate(computing)}
    return places | {path: -1.0 for path, name in names.items() if name.as_posix() in LONGEST}


def _is_own(item: pytest.Item) -> bool:
    """Whether a test looks at Python's and our own code alone, so that versions of other packages change nothing."""
    fixtures = STARTERS | APPLICATIONS
    return _imports_no_other(item.path) and fixtures.isdisjoint(getattr(item, "fixturenames", ()))


@cache
def _imports_no_other(path: Path) -> bool:
    for module, names, plain in IMPORT.findall(path.read_text("utf-8")):
        for name in [f"{module}.{one.strip()}" for one in names.split(",")] if module else [plain]:
            first, second = f"{name}.".split(".")[:2]
            if first not in {"flask_chest_otel", "pytest", "hypothesis", "__future__", *sys.stdlib_module_names}:
                return False
            if first == "flask_chest_otel" and second not in OURS_ALONE:
                return False
    return True


def _starts_a_process(item: pytest.Item) -> bool:
    """One after the other, these are last: a quick defect shows quickly."""
    return item.get_closest_marker("process") is not None


def pytest_collection_finish() -> None:
    """Let the garbage collector look no more at thousands of tests, which stay until the end."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Log lines with half characters in them, which some tests make, are no text that processes can exchange."""
    report = yield
    report.sections[:] = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def hygiene(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A clean environment before, and nothing left behind after; errors of ours fail the test."""
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        monkeypatch.delenv(name)
    # An outbox is shared by all processes of a service: a test must not find another one's, or the user's.
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / f"state-{next(_numbers)}"))
    _guard.forget()
    swallow = request.node.get_closest_marker("guard_on") is not None
    with nullcontext() if swallow else _guard.reraising():
        yield
    for instrumentor in (FlaskChestInstrumentor(), FlaskInstrumentor()):
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
    set_global_response_propagator(None)  # type: ignore[no-untyped-call]
    propagator.uninstall()
    left = _left_behind()
    live_request.set(None)
    otel_context.attach(otel_context.Context())
    assert left == {}, "the test left this behind"
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider), "global providers: in a subprocess only"


def _left_behind() -> dict[str, object]:
    found: dict[str, object] = {
        "request": live_request.get(),
        "OTel context": dict(otel_context.get_current()) or None,
        "app context": has_app_context() or None,
    }
    return {name: value for name, value in found.items() if value is not None}


RESOURCE = Resource.create()
"""One for all tests: the SDK starts threads to make it."""


class Rig:
    """Providers in memory, and applications that use them.

    Attributes:
        folder: Of the applications; it is not there before somebody makes it.
        tracer_provider: Its finished spans are in ``spans``.
        meter_provider: Its points are read with ``points``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracer_provider = self.provider(resource=RESOURCE)
        self.meter_provider = MeterProvider([self.reader], RESOURCE, shutdown_on_exit=False)

    def provider(self, **options: Any) -> TracerProvider:
        """A further tracer provider, which exports to the same place."""
        provider = TracerProvider(shutdown_on_exit=False, **options)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        return provider

    def plain(self, name: str = "shop", cls: type[Flask] = Flask) -> Flask:
        """An application without a chest; its instance folder is temporary."""
        app = cls(name, instance_path=str(self.folder / name))
        app.testing = True
        # As in production: what a view raises becomes a 500.
        app.config["PROPAGATE_EXCEPTIONS"] = False
        return app

    def chest(self, app: Flask, **options: Any) -> FlaskChest:
        """Put an extension with the rig's providers on ``app``."""
        return FlaskChest(app, **{**self.providers, **options})

    def app(self, **options: Any) -> Flask:
        """An application with a chest."""
        app = self.plain()
        self.chest(app, **options)
        return app

    @property
    def providers(self) -> dict[str, Any]:
        """The options that give a chest the rig's providers."""
        return {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """All finished spans, in the order in which they ended."""
        return self.exporter.get_finished_spans()

    def servers(self) -> list[ReadableSpan]:
        """Finished server spans."""
        return [span for span in self.spans if span.kind is SpanKind.SERVER]

    def server(self) -> ReadableSpan:
        """The one server span."""
        (found,) = self.servers()
        return found

    def tracked(self, span: ReadableSpan | None = None, prefix: str = "flask.g.") -> dict[str, Any]:
        """Tracked variables on a span, the one server span unless given."""
        attributes = (span or self.server()).attributes or {}
        return {name.removeprefix(prefix): value for name, value in attributes.items() if name.startswith(prefix)}

    def points(self, metric: str) -> list[Any]:
        """Data points of one metric."""
        data = self.reader.get_metrics_data()
        if data is None:
            return []
        found = [
            metric_.data.data_points
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric_ in scope.metrics
            if metric_.name == metric
        ]
        return [point for points in found for point in points]

    def metric_names(self) -> set[str]:
        """Names of all metrics of ours that have points."""
        data = self.reader.get_metrics_data()
        return {
            metric.name
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            if scope.scope.name == "flask_chest_otel"
            for metric in scope.metrics
        }


@pytest.fixture
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.getbasetemp() / f"rig-{next(_numbers)}")


@pytest.fixture(params=["extension", "upstream", "instrumentor"])
def put(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Put]:
    """Put a chest on an application: as extension, the same beside upstream's spans, and as instrumentor."""
    with ExitStack() as stack:

        def put_on(app: Flask, **options: Any) -> list[RequestRecord]:
            if request.param == "extension":
                rig.chest(app, **options)
            elif request.param == "upstream":
                rig.chest(app, **{"server_span": "upstream", **options})
            elif not FlaskChestInstrumentor().is_instrumented_by_opentelemetry:
                FlaskChestInstrumentor().instrument(**{**rig.providers, **options})
            return stack.enter_context(capture(app))

        yield put_on


class WantsRequest(logging.Handler):
    """As applications have them: it takes the URL from the request, and there is none."""

    def emit(self, record: logging.LogRecord) -> None:
        record.url = request.url


@pytest.fixture
def unlogged() -> Iterator[logging.Logger]:
    """Our lines raise where they are written."""
    logger, handler = logging.getLogger("flask_chest_otel"), WantsRequest()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def untraced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep coverage out of the processes that the test starts: it would be what is timed, with threads above all."""
    for name in ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., str]:
    """Run code in a process of its own, where global providers may be set; its output, or the test fails."""

    def run(code: str, environ: Mapping[str, str] | None = None) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=tmp_path,
            env={**clean, **(environ or {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A real OTLP receiver."""
    with OtlpReceiver() as running:
        yield running
