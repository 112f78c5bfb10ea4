"""HTTP semantic conventions of a server span, read from a WSGI environment; no Flask, no span.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from opentelemetry.propagators.textmap import Getter, Setter

from flask_chest_otel._values.methods import metric_method
from flask_chest_otel._values.redaction import redacted_query
from flask_chest_otel.config.patterns import from_variable
from flask_chest_otel.names import CHESTS, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, OTHER_METHOD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask_chest_otel._values.attribute_sets import AttributeSets

__all__ = [
    "LONGEST_TEXT",
    "HeaderCapture",
    "LegacyNames",
    "cut_path",
    "environ_getter",
    "full_name",
    "header_setter",
    "request_attributes",
    "span_name",
    "url_path",
]

_PROTOCOL = "HTTP/"
# Beside letters and digits: https://www.rfc-editor.org/rfc/rfc3986#section-3.3
_PATH_CHARACTERS = "/:@!$&'()*+,;=-._~"
_PLAIN_PATH = re.compile(f"[A-Za-z0-9{re.escape(_PATH_CHARACTERS)}]*").fullmatch
_CUT_ESCAPE = re.compile("%.?$")
# A query comes encoded, as far as it is: only what is not ASCII has to be.
_QUERY_CHARACTERS = "".join(map(chr, range(0x21, 0x7F)))
# A proxy may pass on whatever a client says; these are attributes of metrics, so they have to be few.
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_VERSIONS = frozenset({"1.0", "1.1", "2", "2.0", "3", "3.0"})


_MEASURED = (HTTP_REQUEST_METHOD, "url.scheme", HTTP_ROUTE, "network.protocol.version")
"""Attributes of a span that the duration has, too."""

LONGEST_TEXT = 255
"""Characters of a host or an unknown method: a name in the DNS has no more."""

_PORT_DIGITS = 5
_LAST_PORT = 65_535


class SpanTemplate:
    """What does not change between requests with one method, route, host and protocol.

    Attributes:
        name: The span's.
        method: As metrics may carry it.
        scheme: ``http`` or ``https``, ``_OTHER`` for what is none.
        attributes: The constant part of the span's.
        durations: Attribute sets that the duration is recorded under, by status and error type.
        measured: What all of these have in common.
    """

    __slots__ = ("attributes", "durations", "measured", "method", "name", "scheme")

    def __init__(
        self, environ: Mapping[str, Any], method: str, route: str | None, chests: str | None, function: str | None
    ) -> None:
        self.method = metric_method(method)
        scheme: str = environ.get("wsgi.url_scheme", "http")
        self.scheme = scheme if scheme in _SCHEMES else OTHER_METHOD
        self.name = span_name(method, route)
        self.durations: dict[tuple[int, str | None], Mapping[str, Any]] = {}
        self.attributes: dict[str, Any] = {HTTP_REQUEST_METHOD: self.method, "url.scheme": self.scheme}
        if self.method == OTHER_METHOD:
            self.attributes["http.request.method_original"] = method[:LONGEST_TEXT]
        if route is not None:
            self.attributes[HTTP_ROUTE] = route
        if function is not None:
            self.attributes["code.function.name"] = function
        protocol = environ.get("SERVER_PROTOCOL")
        if protocol and protocol.startswith(_PROTOCOL) and protocol[len(_PROTOCOL) :] in _VERSIONS:
            self.attributes["network.protocol.version"] = protocol[len(_PROTOCOL) :]
        self.measured = tuple((name, self.attributes[name]) for name in _MEASURED if name in self.attributes)
        if chests is not None:
            self.measured += ((CHESTS, chests),)
        self._add_server(environ.get("HTTP_HOST") or environ.get("SERVER_NAME"), environ.get("SERVER_PORT"))

    def _add_server(self, host: str | None, port: str | None) -> None:
        """Behind proxies as ``ProxyFix`` has put it into the environment."""
        if host:
            name, port_of_host = _host_and_port(host)
            number = _port_number(port_of_host or port or "")
            self.attributes["server.address"] = name[:LONGEST_TEXT]
            if number is not None:
                self.attributes["server.port"] = number

    def duration_attributes(self, status: int, error_type: str | None) -> dict[str, Any]:
        """The attribute set of ``http.server.request.duration``."""
        found: dict[str, Any] = dict(self.measured)
        found[HTTP_RESPONSE_STATUS_CODE] = status
        if error_type is not None:
            found["error.type"] = error_type
        return found

    def told_apart(
        self, sets: AttributeSets, end: tuple[int, str | None], dimensions: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The same with dimensions, within the limit; not kept here, as clients make many templates."""
        # The type belongs to the key: True, 1 and 1.0 are equal, but three attribute sets.
        key = (self.measured, end, *[(name, type(value), value) for name, value in dimensions.items()])
        found = sets.seen.get(key)
        if found is None:
            found = sets.admit(key, {**dimensions, **self.duration_attributes(*end)})
        return found


def full_name(view: Any) -> str | None:
    """The name of a view function with its module, or of the class whose view it is; ``None`` where it has none."""
    named = getattr(view, "view_class", view)
    module, name = getattr(named, "__module__", None), getattr(named, "__qualname__", None)
    return f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else None


def url_path(environ: Mapping[str, Any]) -> str:
    """The path as in a URL: percent-encoded, without the query."""
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "") or "/"
    return path if _PLAIN_PATH(path) else _as_uri(path)


def cut_path(path: str, chars: int) -> str:
    """At most so many characters of an encoded path; a cut inside of %C3 would make another path of it."""
    return path if len(path) <= chars else _CUT_ESCAPE.sub("", path[:chars])


def request_attributes(environ: Mapping[str, Any], template: SpanTemplate, path: str) -> dict[str, Any]:
    """What the conventions want at the start of the span, where samplers look at it."""
    get = environ.get
    attributes = dict(template.attributes)
    attributes["url.path"] = path
    query = get("QUERY_STRING")
    if query:
        attributes["url.query"] = redacted_query(query if query.isascii() else _as_uri(query, _QUERY_CHARACTERS))
    client = get("REMOTE_ADDR")
    if client:
        attributes["client.address"] = client
    user_agent = get("HTTP_USER_AGENT")
    if user_agent:
        attributes["user_agent.original"] = _as_text(user_agent)
    return attributes


def _as_uri(path: str, safe: str = _PATH_CHARACTERS) -> str:
    """A part as in a URI, percent-encoded, whatever its bytes mean: WSGI has decoded them as Latin-1."""
    return quote(path, safe=safe, encoding="latin-1", errors="replace")


def _host_and_port(host: str) -> tuple[str, str]:
    if host.endswith("]") or ":" not in host:  # an IPv6 address without a port, or a name without one
        return host, ""
    name, _, port = host.rpartition(":")
    return name, port


def _port_number(port: str) -> int | None:
    """A port; none where a client's words are no number of 16 bits."""
    if port.isascii() and port.isdecimal() and len(port) <= _PORT_DIGITS and int(port) <= _LAST_PORT:
        return int(port)
    return None


def _as_text(value: str) -> str:
    """A header as text: WSGI hands bytes over as Latin-1."""
    return value if value.isascii() else value.encode("latin-1", "replace").decode("utf-8", "replace")


def span_name(method: str, route: str | None) -> str:
    """``{method} {route}``; the method is ``HTTP`` where it is none of the known."""
    known = metric_method(method)
    name = "HTTP" if known == OTHER_METHOD else known
    return f"{name} {route}" if route is not None else name


class _EnvironGetter(Getter[Any]):
    """Reads propagation headers from a WSGI environment."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        value = carrier.get("HTTP_" + key.upper().replace("-", "_"))
        return [value] if value is not None else None

    def keys(self, carrier: Any) -> list[str]:
        return [key[5:].lower().replace("_", "-") for key in carrier if key.startswith("HTTP_")]


class _HeaderSetter(Setter[Any]):
    """Appends to the list of headers that ``start_response`` takes."""

    def set(self, carrier: Any, key: str, value: str) -> None:
        carrier.append((key, value))


environ_getter = _EnvironGetter()
header_setter = _HeaderSetter()


class HeaderCapture:
    """Headers that the standard variables ask for, as span attributes ``http.request.header.<name>``.

    Patterns are regular expressions without regard to case. Those of headers to capture match whole names; those of
    headers to sanitise match anywhere in a name, and make ``[REDACTED]`` of the value.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        prefix = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
        self.request = from_variable(environ, prefix + "SERVER_REQUEST", re.IGNORECASE)
        self.response = from_variable(environ, prefix + "SERVER_RESPONSE", re.IGNORECASE)
        self._sanitised = from_variable(environ, prefix + "SANITIZE_FIELDS", re.IGNORECASE)

    def of_request(self, environ: Mapping[str, Any]) -> dict[str, list[str]]:
        """Attributes from the request's headers."""
        headers = [(key[5:].replace("_", "-"), value) for key, value in environ.items() if key.startswith("HTTP_")]
        return self._captured(self.request, "http.request.header.", headers)

    def of_response(self, headers: list[tuple[str, str]]) -> dict[str, list[str]]:
        """Attributes from the response's headers."""
        return self._captured(self.response, "http.response.header.", headers)

    def _captured(self, wanted: Any, prefix: str, headers: list[tuple[str, str]]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in headers:
            if wanted is not None and wanted.fullmatch(name):
                attribute = prefix + name.lower().replace("-", "_")
                if self._sanitised is not None and self._sanitised.search(name):
                    found[attribute] = ["[REDACTED]"]
                else:
                    # One text, as WSGI has the request's headers: https://www.rfc-editor.org/rfc/rfc9110#section-5.3
                    found[attribute] = [",".join([*found.get(attribute, ()), _as_text(value)])]
        return found


class LegacyNames:
    """The names before the conventions became stable, beside the stable ones.

    ``OTEL_SEMCONV_STABILITY_OPT_IN=http/dup`` asks for both, to move dashboards over; otherwise only stable names are
    used: https://opentelemetry.io/docs/specs/semconv/non-normative/http-migration/
    """

    _SPAN: ClassVar[dict[str, str]] = {
        HTTP_REQUEST_METHOD: "http.method",
        "url.scheme": "http.scheme",
        "server.address": "net.host.name",
        "server.port": "net.host.port",
        "client.address": "net.peer.ip",
        "user_agent.original": "http.user_agent",
        "network.protocol.version": "http.flavor",
        "http.response.status_code": "http.status_code",
    }

    @classmethod
    def wanted(cls, environ: Mapping[str, str] = os.environ) -> LegacyNames | None:
        """An instance where the environment asks for both, else ``None``."""
        modes = environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")
        return cls() if "http/dup" in (mode.strip() for mode in modes) else None

    def add_to(self, attributes: Mapping[str, Any], environ: Mapping[str, Any]) -> dict[str, Any]:
        """A span's attributes under both names, and two that have no new one."""
        both = dict(attributes)
        of_wsgi = {"http.host": environ.get("HTTP_HOST"), "http.server_name": environ.get("SERVER_NAME")}
        both.update((old, value) for old, value in of_wsgi.items() if value)
        both.update((old, attributes[new]) for new, old in self._SPAN.items() if new in attributes)
        query = attributes.get("url.query")
        both["http.target"] = attributes["url.path"] + (f"?{query}" if query else "")
        return both

    def of_metric(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """A measurement's attributes under the old names."""
        found = {old: attributes[new] for new, old in self._SPAN.items() if new in attributes}
        if HTTP_ROUTE in attributes:
            found["http.target"] = attributes[HTTP_ROUTE]
        return found or dict(attributes)  # of the overflow point
