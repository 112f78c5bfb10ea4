"""Wraps methods of ``logging.Logger``, and unwraps them again.

``Logger.handle`` is called after ``extra=`` was put on a record and before filters and handlers: its wrapper adds the
fields that the record lacks. A record factory would be called too early: ``extra={"request_id": …}`` raises if the
field is there already. ``Logger.callHandlers`` is called after the logger's filters, only for records that pass them:
its wrapper collects the lines for records of requests. ``Filterer.filter`` of a handler may put another record in the
place of one, and that is what is written: its wrapper notes it.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from flask_chest_otel._guard import report_error
from flask_chest_otel._logs.fields import (
    ABSENT,
    LineFields,
    fields_of,
    finished_here,
    finished_request,
    innermost,
    request_here,
)
from flask_chest_otel._request.live import LiveRequest, live_request
from flask_chest_otel._request.lookup import ENVIRON_KEY, context_getter, flask_value
from flask_chest_otel.names import REQUEST_LOGGER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["fields_here", "fields_of_record", "fields_on_lines", "leave", "listen", "put_fields"]

_SERVERS = frozenset({"werkzeug", "gunicorn.access", "gunicorn.error"})
"""Loggers of servers, which write about a request after its end."""

_IN_ATOMS = f"{{{ENVIRON_KEY}}}e"
"""Key of the request in the arguments of gunicorn's access log line, which contain the whole WSGI environment."""

_WSGI_IN_ATOMS = "{wsgi.version}e"
"""A key that these arguments have for every request."""


class _Hook:
    """One method of a class of ``logging``; it is wrapped as long as it has users."""

    def __init__(self, owner: type, name: str, around: Callable[[object], Any]) -> None:
        self._owner = owner
        self._name = name
        self._around = around
        self._users: dict[object, tuple[str, ...]] = {}
        self._put: tuple[object, object] | None = None
        self._lock = threading.Lock()
        self.blank = LineFields({})

    def want(self, user: object, names: tuple[str, ...] = ()) -> None:
        self._users[user] = names
        self._settle()

    def leave(self, user: object) -> None:
        self._users.pop(user, None)
        self._settle()

    def _settle(self) -> None:
        # Do not wait for the lock, as a request may call this: the holder of the lock sees the same users.
        if not self._lock.acquire(blocking=False):
            return
        try:
            self.blank = LineFields({name: ABSENT for names in self._users.values() for name in names})
            if self._users and self._put is None:
                self._wrap()
            elif not self._users and self._put is not None:
                self._unwrap(*self._put)
        finally:
            self._lock.release()

    def _wrap(self) -> None:
        original = getattr(self._owner, self._name)
        wrapper = functools.wraps(original)(self._around(original))
        setattr(self._owner, self._name, wrapper)
        self._put = original, wrapper

    def _unwrap(self, original: object, wrapper: object) -> None:
        # If other code has wrapped our wrapper meanwhile, ours stays and does nothing.
        self._put = None
        if getattr(self._owner, self._name) is wrapper:
            setattr(self._owner, self._name, original)


def _around_handle(original: Any) -> object:
    # The wrapper runs for each log line of the process: the names are looked up here, once, and common lines take no
    # call of Python. Setting three attributes takes a tenth of the time in which a record's `__dict__` takes three
    # items: a record whose `__dict__` was asked for is slower from then on.
    live_here, over, in_flask, current = live_request.get, finished_request.get, flask_value(), context_getter()

    def handle(self: logging.Logger, record: logging.LogRecord) -> object:
        fields = blank = _fields.blank
        try:
            live = live_here()
            if live is None and (over() is not None or in_flask(None) is not None or record.name in _SERVERS):
                live = _elsewhere(record)
            if live is not None:
                made = live.log_fields
                if made is None:
                    live = innermost(live)
                    made = live.log_fields
                if made is None or made.context is not current() or made.blank is not blank:
                    made = _prepare(live, blank)
                fields = made
            ids = fields.ids
            if (
                ids is None
                or hasattr(record, "request_id")
                or hasattr(record, "trace_id")
                or hasattr(record, "span_id")
            ):
                _add_missing(record, _values(fields.found, fields, live))
            else:
                record.request_id, record.trace_id, record.span_id = ids
                if fields.others:
                    _put_others(record, fields, live)
        except Exception as error:  # noqa: BLE001 - the guard decides
            report_error("log fields", error)
            _add_missing(record, fields.found)  # a record class of the application may refuse attributes
        return original(self, record)

    return handle


def _values(found: dict[str, object], fields: LineFields, live: LiveRequest | None) -> dict[str, object]:
    """The fields ``found`` with the present values of variables, for one line."""
    if fields.varying and live is not None:
        return {**found, **live.logs.values(live, fields.varying)}
    return found


def _put_others(record: logging.LogRecord, fields: LineFields, live: LiveRequest | None) -> None:
    for name, value in _values(fields.others, fields, live).items():
        if hasattr(record, name):
            _add_missing(record, {name: value})
        else:
            setattr(record, name, value)


def _add_missing(record: logging.LogRecord, found: dict[str, object]) -> None:
    """Add fields to a record that may have some of them already: the application's own stay."""
    there = record.__dict__
    if there.keys().isdisjoint(found):
        there.update(found)
    else:
        there.update((name, value) for name, value in found.items() if name not in there)


def _prepare(live: LiveRequest, blank: LineFields) -> LineFields:
    """Compute the fields for log lines of a request, as long as the OpenTelemetry context and ``blank`` stay."""
    logs = live.logs
    if logs is None or not logs.names:
        return blank
    context = otel_context.get_current()
    ids: dict[str, object] = logs.ids(live, context)
    found = {name: ids.get(name, value) for name, value in blank.found.items()}
    live.log_fields = prepared = LineFields(found, logs.variables, context, blank)
    return prepared


def _elsewhere(record: logging.LogRecord) -> LiveRequest | None:
    """The request of a log line that is written while no request runs in this context."""
    if record.name not in _SERVERS:
        return request_here()
    if isinstance(record.args, dict) and _WSGI_IN_ATOMS in record.args:
        finished_request.set(None)
        live = record.args.get(_IN_ATOMS)
        return live if isinstance(live, LiveRequest) else None
    if record.name == "gunicorn.error" and record.levelno < logging.ERROR:
        return request_here()  # what gunicorn says of itself, or of a connection that brought no request
    return request_here() or finished_here(once=record.levelno <= logging.INFO)


_at_handlers: dict[int, logging.LogRecord] = {}
"""Id of each record that handlers have at present, to the record as it is written, by a filter perhaps another one.

An entry that a fork leaves behind keeps its record alive, so that no other record can have that id.
"""


def _around_call_handlers(original: Any) -> object:
    live_here = live_request.get

    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> object:  # noqa: N802 - as it is called
        level, key = record.levelname, id(record)  # formatters may colour the level's name
        if key in _at_handlers:
            return original(self, record)  # a handler has passed it on to another logger: it is one line
        _at_handlers[key] = record
        try:
            return original(self, record)
        finally:
            written = _at_handlers.pop(key, record)
            try:
                live = live_here()
                if live is None or live.log_fields is None:
                    live = request_here()
                if live is not None and live.log_lines is not None and record.name != REQUEST_LOGGER:
                    live.log_lines.add(written, self, level)
            except Exception as error:  # noqa: BLE001 - the guard decides
                report_error("log line", error)

    return callHandlers


def _around_filter(original: Any) -> object:
    def filter_(self: logging.Filterer, record: logging.LogRecord) -> object:
        result = original(self, record)
        # Since Python 3.12 a filter may return another record, such as a masked copy.
        if result is not record and isinstance(result, logging.LogRecord) and id(record) in _at_handlers:
            _at_handlers[id(record)] = result
        return result

    return filter_


_fields = _Hook(logging.Logger, "handle", _around_handle)
_lines = _Hook(logging.Logger, "callHandlers", _around_call_handlers)
_masks = _Hook(logging.Filterer, "filter", _around_filter)


def put_fields(user: object, names: tuple[str, ...]) -> None:
    """Add these fields of the running request to every log line from now on; ``"-"`` where there is none."""
    if names:
        _fields.want(user, names)


def listen(user: object) -> None:
    """Collect the log lines of requests from now on, for requests that keep them."""
    _lines.want(user)
    if sys.version_info >= (3, 12):
        _masks.want(user)


def leave(user: object) -> None:
    """Undo :func:`put_fields` and :func:`listen`."""
    for hook in (_fields, _lines, _masks):
        hook.leave(user)


def fields_of_record(record: logging.LogRecord, names: Iterable[str]) -> dict[str, object]:
    """The values of the fields ``names`` for the request that a log record belongs to."""
    try:
        return fields_of(live_request.get() or _elsewhere(record), names)
    except Exception as error:  # noqa: BLE001 - the guard decides
        report_error("log fields", error)
        return dict.fromkeys(names, ABSENT)


def fields_here(names: Iterable[str]) -> dict[str, object]:
    """The values of the fields ``names`` for the request that the running code belongs to."""
    try:
        return fields_of(request_here(), names)
    except Exception as error:  # noqa: BLE001 - the guard decides
        report_error("log fields", error)
        return dict.fromkeys(names, ABSENT)


def fields_on_lines() -> tuple[str, ...]:
    """The fields that all log lines of this process get."""
    return tuple(_fields.blank.found)
