"""What attackers send: a corpus of nasty texts, values made from them, and an application that records all of it."""

from __future__ import annotations

import json
import random
import string
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, g
from werkzeug.test import EnvironBuilder, run_wsgi_app

from flask_chest_otel import FlaskChest, TrackedVar

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS: dict[str, str] = json.loads(Path(__file__).with_name("nasty.json").read_text("ascii"))
NAMES = [f"v{number}" for number in range(40)]
NUMBERS: list[Any] = [0, -0.0, 1, -1, 2**63, -(2**63) - 1, 2**200, 1e308, -1e308, 5e-324, float("nan"), float("inf")]


class Hostile:
    """Breaks whatever looks at it."""

    def __repr__(self) -> str:
        raise RuntimeError("\n\x1b[31mrepr")

    __str__ = __eq__ = __hash__ = __len__ = __iter__ = __bool__ = __float__ = __int__ = __format__ = __repr__  # type: ignore[assignment]  # the point


ODD = [Hostile(), object(), type, b"", None, True, Decimal("NaN"), {1, "a"}, timedelta.max, 3 + 4j, range(10**9)]
ODD += [datetime.max.replace(tzinfo=timezone.utc)]


class Attacker:
    """Makes ids, header values, names and values; the same ones from the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._texts = list(CORPUS.values())
        self._short = [text[:300] for text in self._texts]

    def text(self) -> str:
        """A text of the corpus, or of pieces of it, or of any characters."""
        choose = self._random
        kind = choose.randrange(4)
        if kind == 0:
            return choose.choice(self._short)
        if kind == 1:
            first, second = choose.choice(self._short), choose.choice(self._short)
            return first[: choose.randrange(30)] + second[choose.randrange(30) :]
        if kind == 2:
            return "".join(chr(choose.randrange(0x110000)) for _ in range(choose.randrange(12)))
        return "".join(choose.choice(string.printable) for _ in range(choose.randrange(40)))

    def header(self) -> str:
        """What a WSGI server hands on: bytes as Latin-1; most servers refuse line ends, and we do not rely on it."""
        return self.text().encode("utf-8", "surrogatepass").decode("latin-1")

    def name(self) -> str:
        """The name of a variable."""
        return self._random.choice(NAMES) if self._random.random() < 0.7 else self.text()

    def value(self, depth: int = 0) -> Any:
        """Anything that may be found on ``g``."""
        choose = self._random
        makers: list[Callable[[], Any]] = [
            self.text,
            self.text,
            self.text,
            self.text,
            self._number,
            lambda: choose.uniform(-1e6, 1e6),
        ]
        if depth < 3:
            makers += [
                lambda: [self.value(depth + 1) for _ in range(choose.randrange(4))],
                lambda: {self.text(): self.value(depth + 1) for _ in range(choose.randrange(3))},
                lambda: choose.randbytes(choose.randrange(20)),
                lambda: choose.choice(ODD),
                self._loop,
            ]
        return choose.choice(makers)()

    def _number(self) -> Any:
        return self._random.choice(NUMBERS)

    def _loop(self) -> list[Any]:
        loop: list[Any] = [self.text()]
        loop.append(loop)
        return loop


def attacked(*, dimension: bool = True, **options: Any) -> Flask:
    """An application whose view puts onto ``g`` whatever stands in ``app.config["SAID"]``; it counts its requests."""
    app = Flask("attacked")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.config["SAID"] = {}
    FlaskChest(
        app,
        tracked_vars=["*", TrackedVar("kind", dimension=dimension), TrackedVar("requests", metric="counter")],
        response_headers=("X-Request-ID", "traceresponse", "Server-Timing"),
        **options,
    )

    @app.route("/", methods=["GET", "POST"])
    @app.route("/<path:rest>")
    def view(rest: str = "") -> str:
        vars(g._get_current_object()).update(app.config["SAID"])
        g.requests = 1
        return rest[:10]

    return app


def ask(app: Flask, said: dict[str, Any], headers: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """One request whose headers come past no server that would have refused them; status and headers of its answer."""
    app.config["SAID"] = said
    environ = EnvironBuilder(path="/").get_environ()
    environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    body, status, answered = run_wsgi_app(app, environ)
    b"".join(body)
    return status, list(answered.items())
