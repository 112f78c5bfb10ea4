"""A plugin of pytest for the suite of OpenTelemetry's Flask instrumentation: its instrumentor is this package's.

What every test of upstream's would stumble over is put in order here, so that the rest of each one says something: the
scope's name, the attribute that spans have here and not there, and that the tests run in one process.
"""

import contextvars
import unittest

import opentelemetry.instrumentation.flask as upstream
import pytest

from flask_chest_otel import FlaskChestInstrumentor
from flask_chest_otel._server_span import active_requests

upstream.FlaskInstrumentor = FlaskChestInstrumentor
_run = unittest.TestCase.run


def run_in_its_own_context(self, **arguments):
    """One of the tests replaces OpenTelemetry's `detach` by one that raises: what it leaves current stays with it."""
    return contextvars.copy_context().run(_run, self, **arguments)


unittest.TestCase.run = run_in_its_own_context


def pytest_pycollect_makemodule(module_path, parent):
    """Expect what the documentation says is different in every span."""
    module = pytest.Module.from_parent(parent, path=module_path)
    names = vars(module.obj)
    if "SCOPE" in names:
        names["SCOPE"] = "flask_chest_otel"
        names["expected_attributes_new"] = _with_documented(names["expected_attributes_new"])
    return module


def _with_documented(expected):
    def expected_attributes_new(changes):
        found = expected(changes)
        if found["http.response.status_code"] != 404:
            found["code.function.name"] = "tests.base_test.InstrumentationTest._hello_endpoint"
        if "error.type" in changes:
            found["error.type"] = "ValueError"
        return found

    return expected_attributes_new


@pytest.fixture(autouse=True)
def a_first_meter_provider():
    """The suite replaces the global meter provider, which a process has once."""
    active_requests._by_provider.clear()  # noqa: SLF001 - the suite clears private globals of the SDK, too
