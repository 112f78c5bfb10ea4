"""Reads what the collector's file exporter has written, with the standard library's JSON decoder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def spans(path: Path) -> list[dict[str, Any]]:
    """Return all spans in a file, each with `attributes` as a plain dict."""
    found = []
    for document in _documents(path):
        for group in document.get("resourceSpans", ()):
            for scoped in group.get("scopeSpans", ()):
                found += [_plain(span) for span in scoped.get("spans", ())]
    return found


def surrounded_spans(path: Path) -> list[str]:
    """Return all spans in a file as JSON, each with the resource and the scope around it."""
    return [
        json.dumps([group.get("resource"), group.get("schemaUrl"), scoped.get("scope"), scoped.get("schemaUrl"), span])
        for document in _documents(path)
        for group in document.get("resourceSpans", ())
        for scoped in group.get("scopeSpans", ())
        for span in scoped.get("spans", ())
    ]


def points(path: Path, name: str) -> list[dict[str, Any]]:
    """Return all data points of one metric in a file, each with `attributes` as a plain dict."""
    found = []
    for document in _documents(path):
        for group in document.get("resourceMetrics", ()):
            for scoped in group.get("scopeMetrics", ()):
                for metric in scoped.get("metrics", ()):
                    data = metric.get("histogram") or metric.get("sum") or metric.get("gauge") or {}
                    if metric["name"] == name:
                        found += [_plain(point) for point in data.get("dataPoints", ())]
    return found


def logs(path: Path) -> list[dict[str, Any]]:
    """Return all log records in a file, each with `attributes` as a plain dict."""
    found = []
    for document in _documents(path):
        for group in document.get("resourceLogs", ()):
            for scoped in group.get("scopeLogs", ()):
                found += [_plain(record) for record in scoped.get("logRecords", ())]
    return found


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the documents; a collector that was killed may have torn one and written it again behind that."""
    text = path.read_text() if path.exists() else ""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            document, end = decoder.raw_decode(text, start)
        except json.JSONDecodeError:
            # Torn: the next document begins somewhere behind.
            start = text.find('{"resource', start + 1)
            continue
        yield document
        start = text.find("{", end)


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    pairs = {pair.get("key", ""): next(iter(pair["value"].values()), None) for pair in item.get("attributes", ())}
    return item | {"attributes": pairs}
