"""Attributes of a server span by the HTTP semantic conventions, read from a WSGI environment.

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

    from _typeshed.wsgi import WSGIEnvironment

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
# Characters of a path beside letters and digits: https://www.rfc-editor.org/rfc/rfc3986#section-3.3
_PATH_CHARACTERS = "/:@!$&'()*+,;=-._~"
_PLAIN_PATH = re.compile(f"[A-Za-z0-9{re.escape(_PATH_CHARACTERS)}]*").fullmatch
_CUT_ESCAPE = re.compile("%.?$")
# The client has encoded the query already; only characters outside of ASCII are encoded here.
_QUERY_CHARACTERS = "".join(map(chr, range(0x21, 0x7F)))
# The scheme is an attribute of metrics, so its values are bounded: a proxy may pass on any text from a client.
_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_VERSIONS = frozenset({"1.0", "1.1", "2", "2.0", "3", "3.0"})


_MEASURED = (HTTP_REQUEST_METHOD, "url.scheme", HTTP_ROUTE, "network.protocol.version")
"""Attributes of the span that the metric ``http.server.request.duration`` has as well."""

LONGEST_TEXT = 255
"""Longest host or unknown method, in characters: the limit of a DNS name (RFC 1035, section 2.3.4)."""

_PORT_DIGITS = 5
_LAST_PORT = 65_535


class SpanTemplate:
    """The constant parts of the spans of requests with the same method, route, host and protocol.

    Attributes:
        name: The span's name.
        method: The method as metrics carry it.
        scheme: ``http``, ``https``, ``ws`` or ``wss``; ``_OTHER`` for others.
        place: Method and scheme, by which active requests are told apart.
        attributes: The constant attributes of the span.
        durations: Status and error type to the attribute set of the duration.
        measured: The attributes that all these sets have in common.
    """

    __slots__ = ("attributes", "durations", "measured", "method", "name", "place", "scheme")

    def __init__(
        self, environ: WSGIEnvironment, method: str, route: str | None, chests: str | None, function: str | None
    ) -> None:
        self.method = metric_method(method)
        scheme: str = environ.get("wsgi.url_scheme", "http")
        self.scheme = scheme if scheme in _SCHEMES else OTHER_METHOD
        self.place = self.method, self.scheme
        self.name = span_name(method, route)
        self.durations: dict[tuple[int, str | None], Mapping[str, object]] = {}
        self.attributes: dict[str, object] = {HTTP_REQUEST_METHOD: self.method, "url.scheme": self.scheme}
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
        """Add the server's address; behind proxies, the one that ``ProxyFix`` has put into the environment."""
        if host:
            name, port_of_host = _host_and_port(host)
            number = _port_number(port_of_host or port or "")
            self.attributes["server.address"] = name[:LONGEST_TEXT]
            if number is not None:
                self.attributes["server.port"] = number

    def duration_attributes(self, status: int, error_type: str | None) -> dict[str, object]:
        """The attribute set of ``http.server.request.duration``."""
        found: dict[str, object] = dict(self.measured)
        found[HTTP_RESPONSE_STATUS_CODE] = status
        if error_type is not None:
            found["error.type"] = error_type
        return found

    def told_apart(
        self, sets: AttributeSets, end: tuple[int, str | None], dimensions: Mapping[str, object]
    ) -> Mapping[str, Any]:
        """The attribute set of the duration with dimensions, within the cardinality limit.

        It is not stored in the template: clients can cause many templates.
        """
        # The types belong to the key: True, 1 and 1.0 are equal in Python, but make three attribute sets.
        key = (self.measured, end, *[(name, type(value), value) for name, value in dimensions.items()])
        found = sets.seen.get(key)
        if found is None:
            found = sets.admit(key, {**dimensions, **self.duration_attributes(*end)})
        return found


def full_name(view: object) -> str | None:
    """The full name of a view function, or of the class of a class-based view; ``None`` where it has no name."""
    named = getattr(view, "view_class", view)
    module, name = getattr(named, "__module__", None), getattr(named, "__qualname__", None)
    return f"{module}.{name}" if isinstance(module, str) and isinstance(name, str) else None


def url_path(environ: WSGIEnvironment) -> str:
    """The path as in a URL: percent-encoded, without the query."""
    path: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "") or "/"
    return path if _PLAIN_PATH(path) else _as_uri(path)


def cut_path(path: str, chars: int) -> str:
    """Cut an encoded path to at most ``chars`` characters, never inside an escape such as ``%C3``."""
    return path if len(path) <= chars else _CUT_ESCAPE.sub("", path[:chars])


def request_attributes(environ: WSGIEnvironment, template: SpanTemplate, path: str) -> dict[str, Any]:
    """The attributes that the conventions require at the start of the span, so that samplers can read them."""
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
        attributes["user_agent.original"] = user_agent if user_agent.isascii() else _as_text(user_agent)
    return attributes


def _as_uri(path: str, safe: str = _PATH_CHARACTERS) -> str:
    """Percent-encode the original bytes of a part of a URI: WSGI has decoded them as Latin-1 (PEP 3333)."""
    return quote(path, safe=safe, encoding="latin-1", errors="replace")


def _host_and_port(host: str) -> tuple[str, str]:
    if host.endswith("]") or ":" not in host:  # an IPv6 address without a port, or a name without one
        return host, ""
    name, _, port = host.rpartition(":")
    return name, port


def _port_number(port: str) -> int | None:
    """The port as a number; ``None`` where the text, which a client sent, is not a number of 16 bits."""
    if port.isascii() and port.isdecimal() and len(port) <= _PORT_DIGITS and int(port) <= _LAST_PORT:
        return int(port)
    return None


def _as_text(value: str) -> str:
    """The text of a header: WSGI decodes the bytes of headers as Latin-1 (PEP 3333), whatever their encoding is."""
    return value if value.isascii() else value.encode("latin-1", "replace").decode("utf-8", "replace")


def span_name(method: str, route: str | None) -> str:
    """The name of a span: ``{method} {route}``; ``HTTP`` in place of an unknown method."""
    known = metric_method(method)
    name = "HTTP" if known == OTHER_METHOD else known
    return f"{name} {route}" if route is not None else name


class _EnvironGetter(Getter["WSGIEnvironment"]):
    """Reads propagation headers from a WSGI environment."""

    def get(self, carrier: WSGIEnvironment, key: str) -> list[str] | None:
        value = carrier.get("HTTP_" + key.upper().replace("-", "_"))
        return [value] if value is not None else None

    def keys(self, carrier: WSGIEnvironment) -> list[str]:
        return [key[5:].lower().replace("_", "-") for key in carrier if key.startswith("HTTP_")]


class _HeaderSetter(Setter[list[tuple[str, str]]]):
    """Appends to the list of headers that ``start_response`` takes."""

    def set(self, carrier: list[tuple[str, str]], key: str, value: str) -> None:
        carrier.append((key, value))


environ_getter = _EnvironGetter()
header_setter = _HeaderSetter()


class HeaderCapture:
    """Captures headers as span attributes ``http.request.header.<name>``, by OpenTelemetry's environment variables.

    Patterns are regular expressions and ignore case. A pattern of headers to capture matches the whole name. A pattern
    of headers to sanitise matches any part of the name, and the value becomes ``[REDACTED]``.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        prefix = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_"
        self.request = from_variable(environ, prefix + "SERVER_REQUEST", re.IGNORECASE)
        self.response = from_variable(environ, prefix + "SERVER_RESPONSE", re.IGNORECASE)
        self._sanitised = from_variable(environ, prefix + "SANITIZE_FIELDS", re.IGNORECASE)

    def of_request(self, environ: WSGIEnvironment) -> dict[str, list[str]]:
        """Attributes from the request's headers."""
        headers = [(key[5:].replace("_", "-"), value) for key, value in environ.items() if key.startswith("HTTP_")]
        return self._captured(self.request, "http.request.header.", headers)

    def of_response(self, headers: list[tuple[str, str]]) -> dict[str, list[str]]:
        """Attributes from the response's headers."""
        return self._captured(self.response, "http.response.header.", headers)

    def _captured(
        self, wanted: re.Pattern[str] | None, prefix: str, headers: list[tuple[str, str]]
    ) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in headers:
            if wanted is not None and wanted.fullmatch(name):
                attribute = prefix + name.lower().replace("-", "_")
                if self._sanitised is not None and self._sanitised.search(name):
                    found[attribute] = ["[REDACTED]"]
                else:
                    # Join repeated headers, as WSGI does for requests: https://www.rfc-editor.org/rfc/rfc9110#section-5.3
                    found[attribute] = [",".join([*found.get(attribute, ()), _as_text(value)])]
        return found


class LegacyNames:
    """Adds the attribute names from before the HTTP conventions became stable, beside the stable names.

    ``OTEL_SEMCONV_STABILITY_OPT_IN=http/dup`` asks for both, so that dashboards can be moved step by step. Otherwise
    only the stable names are used: https://opentelemetry.io/docs/specs/semconv/non-normative/http-migration/
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

    def add_to(self, attributes: Mapping[str, Any], environ: Mapping[str, object]) -> dict[str, Any]:
        """A span's attributes under both names, and two old attributes that have no stable name."""
        both = dict(attributes)
        of_wsgi = {"http.host": environ.get("HTTP_HOST"), "http.server_name": environ.get("SERVER_NAME")}
        both.update((old, value) for old, value in of_wsgi.items() if value)
        both.update((old, attributes[new]) for new, old in self._SPAN.items() if new in attributes)
        query = attributes.get("url.query")
        both["http.target"] = attributes["url.path"] + (f"?{query}" if query else "")
        return both

    def of_metric(self, attributes: Mapping[str, object]) -> dict[str, Any]:
        """A measurement's attributes under the old names."""
        found = {old: attributes[new] for new, old in self._SPAN.items() if new in attributes}
        if HTTP_ROUTE in attributes:
            found["http.target"] = attributes[HTTP_ROUTE]
        return found or dict(attributes)  # the overflow point has none of these attributes
