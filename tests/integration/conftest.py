"""An environment for programs that export to a real receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.backends.otlp_receiver import OtlpReceiver


@pytest.fixture
def environ(receiver: OtlpReceiver, tmp_path: Path) -> dict[str, str]:
    """Exports by OTLP, with an outbox of its own."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "FLASK_CHEST_OUTBOX_DIR": str(tmp_path / "outbox"),
        "NO_PROXY": "127.0.0.1",
    }
