"""Ids, headers, names and values from attackers: no request broken, no header injected, no line of the log forged."""

from __future__ import annotations

import io
import logging
import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from flask import request
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from flask_chest_otel import _guard
from flask_chest_otel.ids import is_legal
from flask_chest_otel.testing import capture
from tests.backends.attackers import CORPUS, Attacker, ask, attacked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Rig

CASES = 100_000
VALUES = 60
HEADERS = ("X-Request-ID", "traceparent", "tracestate", "baggage", "User-Agent", "X-Forwarded-For")
PER_REQUEST = 2 * VALUES + len(HEADERS)
"""Names and values on ``g``, and headers."""

SAFE = re.compile(r"[\x20-\x7e]*")


class Lines(logging.Handler):
    """What this package would write into a log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def log() -> Iterator[Lines]:
    heard = Lines()
    logger = logging.getLogger("flask_chest_otel")
    logger.addHandler(heard)
    yield heard
    logger.removeHandler(heard)


def check(log: Lines, answer: tuple[str, list[tuple[str, str]]]) -> None:
    """The request was served, and neither its headers nor the log are anybody else's work."""
    status, headers = answer
    assert status == "200 OK"
    names = [name for name, _ in headers]
    assert sorted(names) == ["Content-Length", "Content-Type", "Server-Timing", "X-Request-ID", "traceresponse"]
    assert all(SAFE.fullmatch(value) for _, value in headers)
    assert is_legal(dict(headers)["X-Request-ID"])
    assert all(line.isprintable() for line in log.lines), "a line that is two, or that moves the cursor"


def check_export(rig: Rig) -> int:
    """Every span and every point can be encoded, each attribute of each span included; how many spans."""
    spans = rig.exporter.get_finished_spans()
    encoded = encode_spans(spans)
    assert len(encoded.SerializeToString()) > 0
    packed = [span for group in encoded.resource_spans for scope in group.scope_spans for span in scope.spans]
    for span, sent in zip(sorted(spans, key=by_id), sorted(packed, key=lambda one: one.span_id.hex()), strict=True):
        assert len(sent.attributes) == len(span.attributes or {}), "the encoder dropped an attribute"
    rig.exporter.clear()
    return len(spans)


def by_id(span: Any) -> str:
    return f"{span.context.span_id:016x}"


@pytest.mark.slow
def test_a_hundred_thousand_cases(rig: Rig, log: Lines) -> None:
    """Names, values and headers from a seeded generator."""
    seed = random.SystemRandom().getrandbits(32)
    print("seed", seed)  # noqa: T201 - to repeat a failure
    attacker = Attacker(seed)
    app = attacked(**rig.providers, server_span="chest")
    requests = -(-CASES // PER_REQUEST)
    exported = 0
    for number in range(requests):
        said = {attacker.name(): attacker.value() for _ in range(VALUES)}
        said["kind"] = attacker.value()
        headers = {name: attacker.header() for name in HEADERS}
        check(log, ask(app, said, headers))
        if number % 100 == 0:
            exported += check_export(rig)
    exported += check_export(rig)
    assert exported == requests
    data: Any = rig.reader.get_metrics_data()
    assert encode_metrics(data).SerializeToString()
    assert sum(point.value for point in rig.points("flask.g.requests")) == requests
    assert len(log.lines) < 2 * _guard.MOST_KINDS


@pytest.mark.parametrize("kind", CORPUS)
def test_the_corpus(rig: Rig, log: Lines, kind: str) -> None:
    """Each text as id, as every header, as a name and as a value; what is recorded is text that every format holds."""
    text = CORPUS[kind]
    app = attacked(**rig.providers, server_span="chest")
    header = text.encode("utf-8", "surrogatepass").decode("latin-1")
    with capture(app) as records:
        check(log, ask(app, {"value": text, "kind": text, text: text}, dict.fromkeys(HEADERS, header)))
    assert check_export(rig) == 1
    recorded = str(records[0].variables["value"])
    assert len(recorded) <= 1024
    assert len(recorded.encode("utf-8")) <= 4 * 1024
    assert records[0].request_id == (text if is_legal(header) else records[0].request_id)


def test_a_forged_line_in_what_is_logged(log: Lines) -> None:
    """Names and reasons that hold line ends or colours are one plain line of the log."""
    _guard.count_refusal(
        _guard.Refusal.VALUE, "x: y", "g.%s is not recorded: %s", "a\nCRITICAL root: forged", "\x1b[2J\u2028"
    )
    (line,) = log.lines
    assert line.startswith("g.a\\nCRITICAL root: forged is not recorded: \\x1b[2J\\u2028")


FORGED = "a\nCRITICAL root: forged\r\x1b[2J\x85\u2028\u202eb"


def quoting() -> str:
    """A generator of ids that fails with what the client sent, and a note and a cause that have it, too."""
    sent = request.headers["X-Trouble"].encode("latin-1").decode()
    known: dict[str, str] = {}
    try:
        return known[sent]
    except KeyError as cause:
        error = ValueError(f"no id for {sent}" + "x" * 10_000)
        error.__notes__ = [sent]  # type: ignore[attr-defined]  # what add_note does, since Python 3.11
        raise error from cause


@pytest.mark.guard_on
def test_an_error_that_quotes_the_client(rig: Rig) -> None:
    """Through a real handler: frames and causes to be read, each error's own words on one line, however long."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("flask_chest_otel")
    logger.addHandler(handler)
    app = rig.app(request_id_generator=quoting)
    app.add_url_rule("/", view_func=lambda: "ok")
    environ = {"HTTP_X_TROUBLE": FORGED.encode().decode("latin-1")}
    try:
        # Not as a header: no client of ours lets a line end through, and not every server refuses one.
        assert app.test_client().get("/", environ_base=environ).text == "ok"
    finally:
        logger.removeHandler(handler)
    text = stream.getvalue()
    assert all(line.isprintable() for line in text.split("\n"))
    at_the_margin = [line for line in text.split("\n") if line and not line.startswith(" ")]
    assert [line.partition(":")[0] for line in at_the_margin] == [
        "ERROR flask_chest_otel",
        *("Traceback (most recent call last)", "KeyError"),
        *("Traceback (most recent call last)", "ValueError"),
    ]
    escaped = "a\\nCRITICAL root: forged\\r\\x1b[2J\\x85\\u2028\\u202eb"
    assert at_the_margin[-1].startswith(f"ValueError: no id for {escaped}xxx")
    assert len(at_the_margin[-1]) == _guard.LONGEST_LINE
    assert "    return known[sent]\n" in text
    assert re.search(r'  File ".*test_attackers.py", line \d+, in quoting\n', text)
