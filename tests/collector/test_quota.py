"""The documented bound for one service: others lose nothing, what it costs is counted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from flask_chest_otel._collector import Composition, render
from tests.backends import jsonl
from tests.backends.collector import Collector
from tests.backends.require import REPOSITORY, require_built
from tests.backends.traffic import Traffic, eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

HOW_TO = REPOSITORY / "docs" / "how-to" / "collector.md"
COUNTED = "otelcol_processor_tail_sampling_count_traces_sampled"


class WithOneMore(Collector):
    """A rendered configuration with a file of the operator's own behind it."""

    def command(self) -> list[str]:
        """Return the collector with both."""
        return [*super().command(), "--config", str(self.folder / "quota.yaml")]


def test_a_loud_service_is_bounded(tmp_path: Path) -> None:
    """Of 2 000 spans of `loud` a small part arrives, of `shop` every one; the rest is counted."""
    require_built("flask-chest-collector")
    rendered = tmp_path / "collector.yaml"
    rendered.write_text(render(Composition(("file",), tail_sampling=True)))
    collector = WithOneMore(folder=tmp_path / "collector", whole=rendered, env={"CHEST_SAMPLING_WAIT": "1s"})
    [quota] = re.findall(
        r"test: file quota.yaml -->\n```yaml\n(.+?)^```$", HOW_TO.read_text(), re.MULTILINE | re.DOTALL
    )
    (collector.folder / "quota.yaml").write_text(quota)
    with (
        collector,
        Traffic(collector.otlp_http, service="loud") as loud,
        Traffic(collector.otlp_http, service="shop") as shop,
    ):
        for number in range(1000):
            loud.request(f"l-{number}")
        for number in range(100):
            shop.request(f"s-{number}")
        loud.flush()
        shop.flush()

        def arrived(letter: str) -> int:
            spans = jsonl.spans(collector.folder / "telemetry.jsonl")
            return sum(str(span["attributes"].get("flask.request_id", "")).startswith(letter) for span in spans)

        eventually(lambda: arrived("s-"), 100)
        eventually(lambda: collector.own_metric(COUNTED, policy="loud", decision="not_sampled") > 500, expected=True)
        assert arrived("l-") < 500
