"""The generated pages are what the code says."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

import flask_chest_otel
from flask_chest_otel import chests, names, testing
from flask_chest_otel.config import ChestConfig
from tools.reference import REPOSITORY, pages
from tools.wire_names import REFERENCE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_generated_page_is_up_to_date(path: Path) -> None:
    """`make docs` would not change it."""
    assert path.read_text(encoding="utf-8") == pages()[path], "type: make docs"


def test_every_setting_name_and_public_object_is_there() -> None:
    """The generator leaves nothing out."""
    reference = REPOSITORY / "docs" / "reference"
    settings = (reference / "settings.md").read_text("utf-8")
    assert all(f"\n### `{row.name}`\n" in settings for row in fields(ChestConfig))
    on_the_wire = (reference / "names.md").read_text("utf-8")
    assert all(f"| `{row.name}` |" in on_the_wire for row in REFERENCE)
    texts = {getattr(names, name) for name in names.__all__ if isinstance(getattr(names, name), str)}
    without_row = {
        names.SCOPE,
        names.OTHER_METHOD,
        names.HTTP_RESPONSE_STATUS_CODE,
    }
    assert not [text for text in texts - without_row if not any(row.name.startswith(text) for row in REFERENCE)]
    api = (reference / "api.md").read_text("utf-8")
    assert all(f"### `{name}`\n" in api for name in flask_chest_otel.__all__ if name != "__version__")
    assert all(f"### `{name}`\n" in api for name in (*chests.__all__, *testing.__all__, "uwsgi_setup", "end_worker"))
