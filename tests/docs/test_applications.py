"""The page of applications says what is run."""

from __future__ import annotations

import re

from tests.apps.applications import ENVIRONMENTS
from tests.backends.require import REPOSITORY

PAGE = REPOSITORY / "docs" / "reference" / "applications.md"


def test_the_page_names_the_versions_that_are_run() -> None:
    """Every version in the table is the one that `make test-apps` installs, and none is missing."""
    rows = re.findall(r"^\| [^|]+ \| (\d[\d.]*) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(needs[0].partition("==")[2] for needs in ENVIRONMENTS.values())
