"""What Splunk's HTTP Event Collector takes, since no such server can be had: JSON texts, one behind the other.

It decodes by itself, and refuses what Splunk refuses: another token, an event without content, fields that are no flat
object (https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector).
"""

from __future__ import annotations

import json
from typing import Any

from tests.backends.otlp_receiver import HTTP_OK, OtlpReceiver, unpacked

TOKEN = "token-of-the-tests"  # noqa: S105 - of a server that lives for seconds


class SplunkHec(OtlpReceiver):
    """Takes `/services/collector` from those who have the token."""

    def __init__(self, *, status: int = HTTP_OK, port: int = 0) -> None:
        super().__init__(status=status, port=port)
        self.events: list[dict[str, Any]] = []

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Keep the events of one request; return the status and the body of its answer."""
        if headers.get("authorization") != f"Splunk {TOKEN}":
            return 403, b'{"text":"Invalid token","code":4}'
        if path != "/services/collector" or self.status != HTTP_OK:
            return self.status if self.status != HTTP_OK else 404, b""
        events = list(_documents(unpacked(headers, body).decode()))
        for number, event in enumerate(events):
            if event.get("event") in (None, "", {}):
                return 400, json.dumps({"text": "Event field is required", "code": 12, "n": number}).encode()
            if any(isinstance(value, dict) for value in event.get("fields", {}).values()):
                return 400, json.dumps({"text": "Error in handling indexed fields", "code": 15}).encode()
        self.events += events
        return HTTP_OK, b'{"text":"Success","code":0}'

    def search(self, field: str, value: str) -> list[dict[str, Any]]:
        """Return the events with this indexed field, as `FIELD::VALUE` does, in the order of their time."""
        found = [event for event in self.events if event["fields"].get(field) == value]
        return sorted(found, key=lambda event: float(event["time"]))


def _documents(text: str) -> list[dict[str, Any]]:
    found, at, decoder = [], 0, json.JSONDecoder()
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        found.append(document)
        while at < len(text) and text[at].isspace():
            at += 1
    return found
