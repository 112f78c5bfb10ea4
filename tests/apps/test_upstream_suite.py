"""The suite of OpenTelemetry's Flask instrumentation, as released, with this package's instrumentor in its place."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.apps.applications import SUITE, SUITE_NEEDS
from tests.apps.driving import PROGRAMS
from tests.apps.environments import bin_of
from tests.apps.test_applications import CHOSEN
from tests.backends.require import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(SUITE not in CHOSEN, reason="APPS names others")

OLD_NAMES = "old names unless"
NO_ROUTE = "a request without a route is named"
SPAN_OF_OTHERS = "inside a server span of others, a span of kind *internal*"
EXCLUDED = "excluded URLs still count as active requests"
COMMENTS = "what SQL comments say of a request is in every context"

DIFFERENT = {
    "test_404": NO_ROUTE,
    "test_404_both_semconv": NO_ROUTE,
    "test_404_new_semconv": NO_ROUTE,
    "test_basic_metric_nonstandard_http_method_success": OLD_NAMES,
    "test_basic_metric_success": OLD_NAMES,
    "test_flask_metrics": OLD_NAMES,
    "test_hooks": OLD_NAMES,
    "test_internal_error": OLD_NAMES,
    "test_no_app_hooks": OLD_NAMES,
    "test_simple": OLD_NAMES,
    "test_flask_metrics_excluded_urls": EXCLUDED,
    "test_flask_metrics_excluded_urls_new_semconv": EXCLUDED,
    "test_custom_request_header_not_added_in_internal_span": SPAN_OF_OTHERS,
    "test_custom_response_header_not_added_in_internal_span": SPAN_OF_OTHERS,
    "test_mark_span_internal_in_presence_of_span_from_other_framework": SPAN_OF_OTHERS,
    "test_sqlcommenter_enabled_default": COMMENTS,
}
"""Tests that fail here, and the row of the documentation's table that says why."""

HOW_IT_IS_DONE = {
    "test_duration_histogram_new_record_with_context_new_semconv",
    "test_duration_histogram_old_record_with_context",
}
"""Tests that look at the arguments of one of OpenTelemetry's functions, which is called otherwise here: exemplars have
the server span's trace all the same (`test_server_span.py`)."""

OF_CHANCE = {"test_flask_metric_values"}
"""A test that compares milliseconds with seconds here, and takes them for the same where they are fewer than ten."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, which has the tests in it."""
    folder = tmp_path_factory.mktemp("upstream")
    pip = (str(bin_of(SUITE) / "python"), "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, "--no-deps", "--no-binary", ":all:", "--dest", folder, SUITE_NEEDS[0]], check=True)
    [archive] = folder.glob("*.tar.gz")
    subprocess.run(["tar", "--extract", "--gzip", "--file", archive, "--directory", folder], check=True)
    [tests] = folder.glob("*/tests")
    return tests


def failing(suite: Path, *options: str) -> tuple[int, set[str]]:
    """How many tests passed, and the names of those that failed."""
    pytest_ = (str(bin_of(SUITE) / "python"), "-m", "pytest", "-p", "no:cacheprovider", "--tb=no", "-rf")
    env = {"PYTHONPATH": str(PROGRAMS), "PATH": "/usr/bin:/bin"}
    said = subprocess.run(
        [*pytest_, *options, "tests"], cwd=suite.parent, env=env, capture_output=True, text=True, check=False
    ).stdout
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None, said
    return int(passed[1]), set(re.findall(r"^FAILED \S+::(\w+)", said, re.MULTILINE))


def test_as_released(suite: Path) -> None:
    """The suite passes with the instrumentor that it is for: what fails below is not its environment's."""
    passed, failed = failing(suite)
    assert passed >= 60
    assert failed == set()


def test_in_its_place(suite: Path) -> None:
    """What fails with this package's instrumentor is documented, and nothing that is documented passes."""
    passed, failed = failing(suite, "-p", "in_upstreams_place")
    assert failed - OF_CHANCE == DIFFERENT.keys() | HOW_IT_IS_DONE
    assert passed >= 41


def test_every_difference_has_its_reason() -> None:
    """Each row stands in the table, with a reason; the page names the version and the numbers."""
    page = (REPOSITORY / "docs" / "reference" / "server-span.md").read_text("utf-8")
    assert f"({SUITE_NEEDS[0].partition('==')[2]})" in page
    assert f"{len(DIFFERENT | dict.fromkeys(HOW_IT_IS_DONE))} of 60 fail" in page
    for row in set(DIFFERENT.values()):
        [found] = re.findall(rf"^\| {re.escape(row)}.*$", page, re.MULTILINE)
        assert all(cell.strip() for cell in found.strip("|").split("|")), found
