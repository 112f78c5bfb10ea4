"""The steps of a request, from its WSGI entry to its finish.

``attach`` installs wrappers on the application that call these steps; this module changes nothing on the application.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from flask import Response, request
from opentelemetry import context as otel_context
from opentelemetry import trace
from werkzeug.exceptions import HTTPException, InternalServerError

from flask_chest_otel._base.statuses import SWITCHING_PROTOCOLS
from flask_chest_otel._guard import guarded
from flask_chest_otel._lifecycle.events import EventSteps
from flask_chest_otel._records import abandoned
from flask_chest_otel._request.failures import answers_failures, is_failure
from flask_chest_otel._request.live import LiveRequest, live_request
from flask_chest_otel._request.lookup import (
    ENVIRON_KEY,
    current_request,
    inside_server_span,
    is_suppressed,
    present_context,
    present_g,
    present_request,
    span_here,
)
from flask_chest_otel._request.recorder import begin_response
from flask_chest_otel._request.stand_in import end_stand_in, settle_span
from flask_chest_otel._server_span.attributes import url_path
from flask_chest_otel._server_span.served import SERVED_KEY, ServedRequest
from flask_chest_otel._values.exceptions import status_of
from flask_chest_otel.names import CHESTS

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from flask import Flask
    from opentelemetry.trace import Span

__all__ = ["Lifecycle"]

_LEAST_REDIRECT = 300

_ABANDONED_AT_ONCE = 8
"""Largest number of abandoned requests that one new request ends: it must not wait for a thousand of them."""


class Lifecycle(EventSteps):
    """The steps of the requests of one application, in the order in which Flask calls them."""

    def enter(self, app: Flask, environ: WSGIEnvironment) -> ServedRequest | None:
        """The WSGI entry: start the clock of our own server span; return ``None`` where there will be none."""
        if not self._startup.done:
            self._startup.run(app)
        if abandoned.waiting:
            abandoned.work_off(_ABANDONED_AT_ONCE)
        if self.borderless:
            return None
        entered: ServedRequest | None = environ.get(SERVED_KEY)
        if entered is not None and entered.waits_for(self):
            return None  # __call__ has entered it already, and now calls wsgi_app
        return ServedRequest(self, self._spans, environ)

    def begin(self, app: Flask) -> None:
        """Begin the request: the URL is matched, and no ``before_request`` function has run."""
        http = present_request()
        if self._excluded is not None and self._excluded.covers(http):
            return
        span_at_begin: Span = trace.INVALID_SPAN
        served = False
        # An empty context, the usual case on a server's thread, holds no span and cannot suppress anything.
        if otel_context.get_current():
            if is_suppressed():
                return
            span_at_begin = trace.get_current_span()
            served = inside_server_span()
        if not self._startup.done:
            self._startup.run(app)
        plan = self._plans.of(app, http)
        live = LiveRequest(self._ids, plan, present_g(), id(present_context()), http.method)
        already_there = live.g.__dict__
        if already_there:
            live.before = dict(already_there)
        live.span_at_begin = span_at_begin
        live.outer = live_request.get()
        environ = http.environ
        live.displaced = environ.get(ENVIRON_KEY)
        environ[ENVIRON_KEY] = live
        live_request.set(live)
        path = url_path(environ) if self.router.wanted or self._spans is not None else ""
        if self.router.wanted:
            self._span_watch.begin(live)
            self._recorder.begin(live, http, path)
        if plan.chests is not None:
            self._name_destinations(live)
        self._ids.choose(live, environ)
        entered: ServedRequest | None = environ.get(SERVED_KEY)
        if entered is not None and entered.waits_for(self):
            live.at_border, live.server_span = True, entered
            if self._headers is not None:
                entered.adding(partial(self._with_headers, live))
            live.span, live.context = entered.open(
                live.method, plan.route, plan.chests_text, path, http.url_rule, inside=served
            )
            self._exceptions.listen(live, entered)
        self.logs.begin(live)

    def dispatch(self) -> None:
        """The view comes next: a root span that starts from here on is not the server span."""
        # The check by g is skipped, as it costs time. If live_request belongs to an inner request that was left open,
        # that one has been dispatched already, and nothing changes.
        live = live_request.get()
        if live is not None and not live.dispatched:
            live.dispatched = True
            if live.span is None:
                self._find_span(live)

    def viewed(self) -> None:
        """After the view, with ``raise_exceptions``: raise as if the view had raised.

        Raises:
            ChestValueError: A value on ``g`` cannot be recorded.
        """
        live = current_request()
        if live is not None:
            self._reader.check(live)

    def handled(self, error: BaseException | None, answer: object) -> None:
        """Record an answered exception; ``answer`` is the return value of its error handler, or ``error`` itself."""
        live = current_request()
        if live is None:
            return
        # Flask makes the response by calling the exception. Its body is complete, although it is an iterator; unless
        # the view gave the exception a response of its own.
        live.has_page = isinstance(answer, HTTPException) and answer.response is None
        live.raised = None
        if error is not None:
            self._exceptions.answered(live, error, failed=is_failure(answer), handled=answer is not error)

    def recover(self, app: Flask, answer: object) -> object:
        """Record that Flask has answered an unhandled exception, by the application's handler for 500 or by itself."""
        live = current_request()
        if live is None:
            return answer
        live.recovered = answers_failures(app, request.blueprints, InternalServerError)
        # If an after_request function raised, ``respond`` was not called for this response.
        return answer if live.answered or not isinstance(answer, Response) else self.respond(answer)

    def respond(self, response: Response) -> Response:
        """Note the response, after every ``after_request`` function; return the response to send."""
        if (
            self._headers is None
            and not self.router.wanted
            and self._spans is None
            and not self._plans.counts
            and self.alone
        ):
            return response
        live = current_request()
        if live is None or live.finished:
            return response
        # The response of a web socket's view is not sent: the view has used the connection itself.
        is_socket = live.plan.is_socket and response.status_code < _LEAST_REDIRECT
        live.status, live.answered = SWITCHING_PROTOCOLS if is_socket else response.status_code, True
        begin_response(live)
        if live.server_span is not None:
            # An after_request function may have replaced the exception's page by a stream.
            is_page = live.has_page and response.content_length is not None
            live.server_span.respond(live.status, streamed=not response.is_sequence and not is_page)
        if live.span is None:
            settle_span(live, self._stand_ins)
        live.dispatched = True
        if self._headers is None or live.at_border:
            return response
        # The WSGI entry is not wrapped: a framework such as Connexion took it before the extension was installed.
        return self._headers.on_copy(response, live.request_id or self._ids.decide(live), live.span)

    def _with_headers(self, live: LiveRequest, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """At the begin of the response: return its headers with ours added; ``headers`` is not changed."""
        if self._headers is None:
            return headers
        if live.span is None and not live.finished:
            settle_span(live, self._stand_ins)
        return self._headers.added_to(headers, live.request_id or self._ids.decide(live), live.span)

    def finish(self, error: BaseException | None) -> None:
        """Teardown: make the record, before any teardown function ends the server span.

        Args:
            error: The unhandled exception of the view, or ``None``.
        """
        live = current_request()
        if live is None or live.finished:
            return
        if self._propagate is not None:
            self.typed.complete(live)
            # Install it again: the application may have set another global propagator meanwhile.
            self._propagate()
        live.finished = True
        raised, live.raised = live.raised, None
        if error is None and raised is not None:
            # A framework such as Flask-RESTX has answered the exception in place of Flask's own handling.
            self._exceptions.answered(live, raised, failed=live.status >= InternalServerError.code)
        # An exception that stands for a response is a failure where a response of 500 or above was sent instead.
        refused = live.answered and live.status >= InternalServerError.code
        stack = self._recorder.fail(live, error, handled=live.recovered, is_answer=not refused)
        if live.plan.event is None:
            self.logs.finish(live)  # a server writes its line after a request, and none after an event
        if live_request.get() is live:
            live_request.set(live.outer)
        if live.displaced is not None:
            request.environ[ENVIRON_KEY] = live.displaced
        if live.server_span is not None:
            live.server_span.fail(error, stack)
            # The generator of a streamed body may still set values on this g.
            if live.server_span.streams:
                live.server_span.at_end(partial(self._recorder.finish_streamed, live), partial(begin_response, live))
                return
        self._close(live, error)

    @guarded("destinations")
    def _name_destinations(self, live: LiveRequest) -> None:
        self._span_watch.name_destinations()
        span = span_here(live)
        if span is not None and live.plan.chests_text is not None:
            # An instrumentation around the application started the span before the request, so on_start did not set it.
            span.set_attribute(CHESTS, live.plan.chests_text)

    # Parts of finish

    def _close(self, live: LiveRequest, error: BaseException | None) -> None:
        if error is not None and not live.answered:
            live.status = status_of(error)
        if live.span is None:
            settle_span(live, self._stand_ins)
        # Our own server span, where there is one, reports the exception at the end of the response.
        if error is not None and not live.is_told:
            self._exceptions.failed(live, error)
        server_span = live.server_span
        record = self._recorder.finish(live)
        # Wait with the record where possible: teardown functions come next, and may raise.
        if record is not None and (
            server_span is None or not server_span.at_end(partial(self._recorder.hand_over, live, record, error))
        ):
            self.router.put(record)
        end_stand_in(live, self._stand_ins, error)
