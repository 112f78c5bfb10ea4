"""The public test kit: collects the records of an application under test, without global providers or exporters."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from flask_chest_otel._lifecycle.state import state_of
from flask_chest_otel._records.abandoned import work_off
from flask_chest_otel._records.record import Measurement, RequestError, RequestRecord
from flask_chest_otel.errors import ChestSetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

__all__ = ["Measurement", "RequestError", "RequestRecord", "capture"]


class _Capture:
    """A chest that keeps records in a list."""

    name = "capture"
    keeps_spans = True
    keeps_logs = True

    def __init__(self) -> None:
        self.records: list[RequestRecord] = []

    def put(self, record: RequestRecord) -> None:
        self.records.append(record)

    def flush(self, timeout_s: float) -> bool:  # noqa: ARG002 - a chest's signature
        return True

    def close(self, timeout_s: float) -> bool:  # noqa: ARG002 - a chest's signature
        return True


@contextmanager
def capture(app: Flask) -> Iterator[list[RequestRecord]]:
    """Collect the records of the requests that ``app`` finishes inside the block.

    Example::

        with capture(app) as records:
            app.test_client().post("/cart/7")
        assert records[0].variables == {"user_id": "u1", "cart_total": 42.5}
        assert records[0].trace_id == trace_id_for(records[0].request_id)

    A record has ``variables``, ``request_id``, ``trace_id``, ``metrics`` and more: see :class:`RequestRecord`.

    If the first request of the application comes inside the block or later, the application sets no global provider and
    exports nothing, whatever the environment says. It keeps no store unless ``export="store"`` asks for one. Providers
    and chests that you made are used as they are. ``app.testing`` (or ``TESTING``) has the same effect without a block,
    except for an application with ``export="otlp"``.

    Raises:
        ChestSetupError: The application has no ``FlaskChest`` and is not instrumented.
    """
    state = state_of(app)
    if state is None:
        raise ChestSetupError(f"{app.name!r} has no chest: call FlaskChest(app) before capture(app)")
    state.export.capture_only()
    chest = _Capture()
    state.router.add(chest)
    state.logs.listen()
    try:
        yield chest.records
    finally:
        work_off()  # end the requests whose bodies the test neither read nor closed
        state.router.remove(chest)
