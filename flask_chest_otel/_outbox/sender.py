"""Posts waiting batches in their order, tries again, or puts them aside. Each signal has its own sender."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask_chest_otel._base.rate_limit import RateLimit
from flask_chest_otel._base.retry import pause_s
from flask_chest_otel._guard import Log
from flask_chest_otel._otlp.client import in_short
from flask_chest_otel._otlp.endpoint import GRPC, POST_NOT_TAKEN, POST_REFUSED
from flask_chest_otel._otlp.http import HttpClient
from flask_chest_otel._otlp.parts import Part, name_of, parts_of
from flask_chest_otel._otlp.signals import OTLP_SIGNALS
from flask_chest_otel._outbox.file import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_chest_otel._otlp.client import OtlpClient, OtlpEndpoint, PostResult
    from flask_chest_otel._outbox.buffer import BatchBuffer

__all__ = ["SignalSender"]

_logger = Log("flask_chest_otel")

FIRST_PAUSE_S = 0.5
"""Pause after the first failure, seconds; it doubles after each further failure."""

LONGEST_PAUSE_S = 30.0
"""Longest pause between two tries, seconds."""

LONGEST_RETRY_AFTER_S = 3600.0
"""Longest pause that a collector may ask for, seconds."""

ROWS_AT_ONCE = 64
"""How many batches of spans or log records are joined into one post, at most."""

BYTES_AT_ONCE = 1024 * 1024
"""How large a joined post may become, bytes; its first batch may be larger."""

POSTS_IN_A_ROW = 16
"""How many posts of one signal are sent before the next signal has its turn."""

SAID_EVERY_S = 60.0
"""Shortest time between two log lines of one kind, seconds."""


class SignalSender:
    """Sends the batches of one signal. Only one thread may use it.

    Args:
        buffer: Where the batches wait.
        address: Where the batches are sent.
        most_bytes: How large one post may become, bytes; a single item may be larger.
    """

    def __init__(self, buffer: BatchBuffer, address: OtlpEndpoint, most_bytes: int) -> None:
        self._buffer = buffer
        self._client = _client_of(address)
        self._address = address
        self._failures = 0
        self._not_before = 0.0
        self._alone = 0
        self._bound = self._most_bytes = most_bytes
        self._split: _Split | None = None
        self._away = self._given_up = False
        self._log_limit = RateLimit(SAID_EVERY_S)

    def pause_s(self) -> float:
        """Return how long to wait before the next try, seconds."""
        return max(0.0, self._not_before - time.monotonic())

    def run(self, go_on: Callable[[], bool], *, urgent: bool = False) -> bool:
        """Send waiting batches.

        Args:
            go_on: Called before each post; ``False`` ends sending.
            urgent: Send everything, and do not wait for the end of a pause.

        Returns:
            Whether more batches may wait that can be sent at once.
        """
        posts = 0
        while (urgent or not self.pause_s()) and go_on():
            rows = self._next()
            if not rows:
                return False
            if not self._send(rows):
                return False
            posts += 1
            if posts == POSTS_IN_A_ROW and not urgent:
                return True
        return False

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def give_up(self) -> bool:
        """End a post that hangs, as the process ends; its batches stay in the outbox. Any thread may call it.

        Returns:
            ``False`` where the post cannot be ended.
        """
        self._given_up = True
        return self._client.give_up()

    def _next(self) -> list[Batch]:
        # Concatenated protobuf messages are one message with the lists of all of them:
        # https://protobuf.dev/programming-guides/encoding/#last-one-wins
        joined = OTLP_SIGNALS[self._address.signal].joined and not self._alone
        most_bytes = min(BYTES_AT_ONCE, self._most_bytes)
        return self._buffer.oldest(self._address.signal, ROWS_AT_ONCE if joined else 1, most_bytes)

    def _send(self, rows: list[Batch]) -> bool:
        split = self._split_of(rows)
        body = split.waiting[0].body if split is not None else b"".join(row.body for row in rows)
        answer = self._post(body)
        if answer.retryable:
            self._try_again(f"{answer.status} {answer.says}", answer.retry_after_s)
            return False
        self._failures = 0
        self._not_before = 0.0
        if self._away:
            self._away = False
            _logger.info("%s takes %s again", self._address.shown, self._address.signal)
        if answer.too_large and self._make_smaller(rows, len(body)):
            self._buffer.keep()
        elif split is not None:
            self._settle_part(split, answer)
        else:
            self._settle(rows, answer)
        return True

    def _post(self, body: bytes) -> PostResult:
        """Post a request; make a refusal such as 401 or 403 retryable if an empty request is refused, too."""
        answer = self._client.post(body)
        if not answer.denied:
            return answer
        empty = self._client.post(b"")
        if empty.denied or empty.retryable:
            return answer._replace(retryable=True)
        # The empty request was taken: a firewall refuses the content, or the token was corrected in between.
        return self._client.post(body)

    def _split_of(self, rows: list[Batch]) -> _Split | None:
        """Return the parts of the first batch that are left; ``None``: it is sent whole.

        A batch stays in the outbox until all its parts are accepted or refused.
        """
        first = rows[0]
        if self._split is not None and self._split.row.batch_id != first.batch_id:
            self._split = None
        if self._split is None and len(first.body) > self._most_bytes:
            self._split = self._parted(first)
        return self._split

    def _parted(self, row: Batch) -> _Split | None:
        parts = parts_of(self._address.signal, Part(row.items, row.body), self._most_bytes)
        return _Split(row, parts) if len(parts) > 1 else None

    def _make_smaller(self, rows: list[Batch], size: int) -> bool:
        """Halve the size of posts after one was too large; ``False``: a single item is too large."""
        before, self._most_bytes = self._most_bytes, size // 2
        if self._split is None:
            if len(rows) == 1:
                self._split = self._parted(rows[0])
            if len(rows) > 1 or self._split is not None:
                return True
        elif len(parts_of(self._address.signal, self._split.waiting[0], self._most_bytes)) > 1:
            waiting = self._split.waiting
            self._split.waiting = [
                part for whole in waiting for part in parts_of(self._address.signal, whole, self._most_bytes)
            ]
            return True
        self._most_bytes = before
        return False

    def _settle_part(self, split: _Split, answer: PostResult) -> None:
        part = split.waiting.pop(0)
        if not answer.taken or answer.rejected:
            split.refused.append((part, answer))
        if split.waiting:
            self._buffer.keep()
            return
        self._split = None
        for part, refusal in split.refused:
            # Number 0: the part is not a batch of the outbox.
            self._put_aside([Batch(0, part.items, part.body)], refusal)
        self._buffer.done([split.row])

    def _settle(self, rows: list[Batch], answer: PostResult) -> None:
        """Delete or put aside batches that the collector took, took in part, or refused permanently."""
        if answer.taken and not answer.rejected:
            self._alone = max(0, self._alone - 1)
            self._buffer.done(rows)
        elif len(rows) > 1 and not answer.rejected:
            # One of these batches is wrong. Send each alone, so that the others are accepted.
            self._alone = len(rows)
            self._buffer.keep()
        else:
            self._alone = max(0, self._alone - 1)
            self._put_aside(rows, answer)

    def _put_aside(self, rows: list[Batch], answer: PostResult) -> None:
        part = f"{answer.rejected} items rejected: " if answer.rejected else ""
        reason = f"{answer.status} {part}{answer.says}"
        if answer.too_large:
            name = in_short(name_of(self._address.signal, rows[0].body))
            reason = f"{reason}; too large alone: {name!r}, {len(rows[0].body)} bytes"
        # Try the full size again: the size may not have been the reason, or only this batch's size.
        self._most_bytes = self._bound
        for row in rows:
            self._buffer.refuse(row, self._address.signal, reason)
        self._say(
            "refused",
            POST_REFUSED,
            self._address.shown,
            self._address.signal,
            reason,
        )

    def _try_again(self, why: str, retry_after_s: float | None) -> None:
        self._buffer.keep()
        if self._given_up:
            return
        self._failures += 1
        self._not_before = time.monotonic() + pause_s(
            self._failures,
            retry_after_s,
            first_s=FIRST_PAUSE_S,
            longest_s=LONGEST_PAUSE_S,
            longest_asked_s=LONGEST_RETRY_AFTER_S,
        )
        self._away = True
        self._say(
            "away",
            POST_NOT_TAKEN,
            self._address.shown,
            self._address.signal,
            why,
        )

    def _say(self, kind: str, message: str, *words: str) -> None:
        if self._log_limit.allows(kind):
            _logger.warning(message, *words)


@dataclass(slots=True)
class _Split:
    """A batch that is sent in parts.

    Attributes:
        row: The whole batch.
        waiting: Parts without an answer yet, in their order.
        refused: Parts that the collector did not take, with its answers.
    """

    row: Batch
    waiting: list[Part]
    refused: list[tuple[Part, PostResult]] = field(default_factory=list)


def _client_of(address: OtlpEndpoint) -> OtlpClient:
    if address.protocol == GRPC:
        from flask_chest_otel._otlp.grpc import GrpcClient  # noqa: PLC0415 - loading gRPC takes long

        return GrpcClient(address)
    return HttpClient(address)
