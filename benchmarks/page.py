"""The page over a store, looked at: its overview once a second, and its stream of new requests."""

from __future__ import annotations

import http.client
import re
import sys
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.backends.require import REPOSITORY
from tests.backends.server import Server

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["LookedAtPage"]

LINK = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\S+")


class LookedAtPage(Server):
    """``flask chest serve`` in a process of its own, and somebody with both pages open.

    Attributes:
        overviews: How many overviews were answered.
        events: How many new requests the stream told.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        super().__init__(folder, {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"})
        self._store = store
        self._closing = threading.Event()
        self._readers: list[threading.Thread] = []
        self.overviews = self.events = 0

    def command(self) -> list[str]:
        """Return the command line that starts it."""
        return [sys.executable, "-m", "flask", "chest", "serve", "--port", "0", "--store", str(self._store)]

    def is_ready(self) -> bool:
        """Return whether it has said where it is."""
        return LINK.search(self.log()) is not None

    def __enter__(self) -> Self:
        super().__enter__()
        found = LINK.search(self.log())
        if found is None:
            raise RuntimeError("the page did not say where it is")
        self._address = urlsplit(found.group())
        answer = self._get(f"/?{self._address.query}")
        self._cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
        self._readers = [threading.Thread(target=one, daemon=True) for one in (self._look, self._listen)]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self.kill9()
        for reader in self._readers:
            reader.join(10)

    def _get(self, path: str, cookie: str = "") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self._address.netloc, timeout=30)
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path} answered {answer.status}")
        return answer

    def _look(self) -> None:
        while not self._closing.is_set():
            begun = time.monotonic()
            try:
                self._get("/", self._cookie).read()
            except OSError:
                return  # the end of the turn
            self.overviews += 1
            self._closing.wait(max(0.0, 1 - (time.monotonic() - begun)))

    def _listen(self) -> None:
        try:
            for line in self._get("/live", self._cookie):
                self.events += line.startswith(b"data:")
        except (OSError, http.client.HTTPException):
            return  # the end of the turn
