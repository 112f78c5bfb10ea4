"""The applications: what each needs, how its own documentation starts it, what it is asked, what must come of that."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 - a dataclass's field
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["APPLICATIONS", "ENVIRONMENTS", "SUITE", "SUITE_NEEDS", "Application", "Ask"]


@dataclass(frozen=True)
class Ask:
    """One request, and what its span must say.

    Attributes:
        method: The HTTP method.
        path: With its query; ``{token}`` is what the application's ``hidden`` has found last.
        route: The rule that must stand on the span; ``None``: no rule matches.
        status: What must be answered.
        body: The request's body; ``{token}`` as in the path.
        headers: Further headers of the request.
        variables: What must stand on the span, by name.
        error: The type of the exception that must be an event of the span.
        says: Texts to say on a web socket; not empty: it is one.
        reaches: Whether it reaches Flask, so that it has a span.
        upstream: Whether upstream's span tells the same of it.
    """

    method: str
    path: str
    route: str | None
    status: int = 200
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None
    says: tuple[str, ...] = ()
    reaches: bool = True
    upstream: bool = True


@dataclass(frozen=True)
class Application:
    """One application.

    Attributes:
        name: What ``make test-apps APPS=…`` calls it.
        needs: Its requirements, the application itself first, with exact versions.
        command: How it is started; ``{port}``, ``{folder}`` and ``{programs}`` are filled in.
        asks: The requests, one after the other, by one client with cookies.
        tracked: Tracked variables.
        settings: Its environment.
        instrumented: Environment of the runs with instrumentation only.
        prepare: Commands that make its data.
        ready: A path that is asked to see whether it is up.
        hidden: A regular expression whose first group is what forms must bring back.
        vary: Regular expressions of what differs from run to run in its answers.
        environment: The environment that it runs in; its own unless said.
        around: The route that a framework around Flask gives to all that reaches Flask, where that makes server spans.
    """

    name: str
    needs: tuple[str, ...]
    command: tuple[str, ...]
    asks: tuple[Ask, ...]
    tracked: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    instrumented: Mapping[str, str] = field(default_factory=dict)
    prepare: tuple[tuple[str, ...], ...] = ()
    ready: str = "/not-there"
    hidden: str = ""
    vary: tuple[str, ...] = ()
    environment: str = ""
    around: str | None = None

    def __post_init__(self) -> None:
        if not self.environment:
            object.__setattr__(self, "environment", self.name)


def _flask_run(program: str) -> tuple[str, ...]:
    return ("flask", "--app", program, "run", "--port", "{port}", "--no-debugger", "--no-reload")


_JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}

_ORDERS = (
    Ask("POST", "/orders", "/orders", 201, '{"item": "tea", "pieces": 3}', _JSON, {"item": "tea", "pieces": 3}),
    Ask("POST", "/orders", "/orders", 422, '{"item": "tea"}', _JSON),
    Ask("GET", "/orders/7", "/orders/<int:number>", variables={"number": 7}),
    Ask("GET", "/orders/404", "/orders/<int:number>", 404, variables={"number": 404}),
    Ask("GET", "/orders/500", "/orders/<int:number>", 500, variables={"number": 500}, error="RuntimeError"),
    Ask("DELETE", "/orders", None, 405),
    Ask("GET", "/nowhere", None, 404),
)
"""What the small programs are asked that do the same with different frameworks."""


_TRACKED = "item,pieces,number"


def _but(asks: tuple[Ask, ...], changes: Mapping[int, Mapping[str, Any]]) -> tuple[Ask, ...]:
    """Requests with other expectations of those with these numbers."""
    return tuple(replace(ask, **changes.get(number, {})) for number, ask in enumerate(asks))


_UPDATE = "/_dash-update-component"
_SOCKET = "/socket.io/?EIO=4&transport=websocket"
_LEDGER = {"beancount_file_slug": "ledger"}
_S3_KEY = '/<regex("[^/]+"):bucket_name_path>/<regex(".+"):key_name>'
_ANN = {"user.username": "ann"}
_BESIDE: tuple[tuple[tuple[str, ...], str], ...] = (
    (("ddtrace-run",), "sentry prometheus toolbar"),
    ((), "toolbar prometheus sentry"),
    (("ddtrace-run",), "toolbar sentry prometheus"),
)
_DATADOG = {
    "DD_TRACE_AGENT_URL": "http://127.0.0.1:9",
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
}
_TEA = {"project.id": "tea"}
_PROJECT = "name=tea&id=tea&password=pw&contact_email=a%40b.example&default_currency=XXX"
_THEME = {"current_theme": 0}
_MLFLOW = "/api/2.0/mlflow"
_CREATE = f"{_MLFLOW}/experiments/create"
_RUN = '{"experiment_id": "1", "run_name": "first"}'
_ADMIN = {"Authorization": "Basic YWRtaW46YS1jdXAtb2YtdGVh"}
_WHO = {"mlflow_authenticated_user": "admin"}
_LOGIN = "username=admin&password=admin123&next=%2F&csrf_token={token}"


def _mlflow(
    server: str, options: tuple[str, ...], asks: tuple[Ask, ...], around: str | None = None, tracked: str = ""
) -> Application:
    """MLflow's tracking server, which starts its WSGI or ASGI server as another process."""
    database = ("--backend-store-uri", "sqlite:///{folder}/mlflow.db")
    places = (*database, "--artifacts-destination", "{folder}/artifacts")
    return Application(
        f"mlflow-{server}",
        ("mlflow[auth]==3.17.2",),
        ("mlflow", "server", "--port", "{port}", "--workers", "1", *places, *options),
        asks,
        tracked=tracked,
        settings={
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "secret",
            "MLFLOW_AUTH_ADMIN_PASSWORD": "a-cup-of-tea",
        },
        prepare=(("mlflow", "db", "upgrade", database[1]),),
        vary=(r"[0-9a-f]{32}", r'_time": \d+'),
        environment="mlflow",
        around=around,
    )


def _callback(output: str, value: str | None, status: int = 200, error: str | None = None) -> Ask:
    """What Dash's page sends for a callback, which a hook names in a variable."""
    name, _, attribute = output.partition(".")
    given = {"id": "who", "property": "value", "value": value}
    outputs = {"id": name, "property": attribute}
    body = {"output": output, "outputs": outputs, "inputs": [given], "changedPropIds": ["who.value"], "state": []}
    return Ask("POST", _UPDATE, _UPDATE, status, json.dumps(body), _JSON, {"callback": output}, error)


APPLICATIONS = {
    application.name: application
    for application in (
        Application(
            "httpbin",
            ("httpbin==0.10.4", "gunicorn==27.0.1"),
            ("gunicorn", "--bind", "127.0.0.1:{port}", "--worker-class", "gthread", "httpbin:app"),
            (
                Ask("GET", "/get?a=1", "/get"),
                Ask("POST", "/post", "/post", body="a=1&b=2", headers=_FORM),
                Ask("PUT", "/anything/x", "/anything/<path:anything>", body="text"),
                Ask("GET", "/status/418", "/status/<codes>", 418),
                Ask("GET", "/status/503", "/status/<codes>", 503),
                Ask("GET", "/redirect/2", "/redirect/<int:n>", 302),
                Ask("GET", "/stream/3", "/stream/<int:n>"),
                Ask("GET", "/stream-bytes/5000?seed=3&chunk_size=1000", "/stream-bytes/<int:n>"),
                Ask("GET", "/drip?numbytes=4&duration=0.4&delay=0", "/drip"),
                Ask("GET", "/basic-auth/u/p", "/basic-auth/<user>/<passwd>", 401),
                Ask("GET", "/gzip", "/gzip"),
                Ask("GET", "/cookies/set?a=b", "/cookies/set", 302),
                Ask("GET", "/cookies", "/cookies"),
                Ask("HEAD", "/get", "/get"),
                Ask("OPTIONS", "/get", "/get"),
                Ask("DELETE", "/get", None, 405),
                Ask("GET", "/nowhere", None, 404),
            ),
        ),
        Application(
            "flask-sock",
            ("flask-sock==0.7.0",),
            _flask_run("sock_site"),
            (
                Ask("GET", "/", "/"),
                Ask("GET", "/echo", "/echo", 101, says=("one", "two"), variables={"texts": 2}),
                Ask("GET", "/echo", None, 400),
            ),
            tracked="texts",
        ),
        Application(
            "apiflask",
            ("apiflask==3.1.2",),
            _flask_run("apiflask_site"),
            _but(
                _ORDERS,
                # Exceptions of its own, which its handler answers.
                {1: {"error": "apiflask.exceptions._ValidationError"}, 3: {"error": "apiflask.exceptions.HTTPError"}},
            ),
            tracked=_TRACKED,
        ),
        Application("flask-smorest", ("flask-smorest==0.47.0",), _flask_run("smorest_site"), _ORDERS, tracked=_TRACKED),
        Application(
            "flask-restx",
            ("flask-restx==1.3.2",),
            _flask_run("restx_site"),
            _but(_ORDERS, {1: {"status": 400}}),
            tracked=_TRACKED,
        ),
        Application(
            "dash",
            ("dash==4.4.1",),
            _flask_run("dash_site:server"),
            (
                Ask("GET", "/", "/"),
                Ask("GET", "/_dash-layout", "/_dash-layout"),
                _callback("greeting.children", "Ann"),
                _callback("greeting.children", "", 204, "dash.exceptions.PreventUpdate"),
                _callback("length.children", "Ann"),
                _callback("length.children", None, 500, "TypeError"),
                replace(_callback("none.children", "Ann", 500, "KeyError"), variables={"callback": "other"}),
                Ask("GET", "/any/page", "/<path:path>"),
            ),
            tracked='[{"name": "callback", "dimension": true}]',
            instrumented={"FLASK_CHEST_REQUEST_HOOK": "dash_hook:name_callback"},
            vary=('"end_id":"[^"]*"',),
        ),
        *(
            Application(
                f"flask-socketio-{mode}",
                (
                    "flask-socketio==5.7.0",
                    "simple-websocket==1.1.0",
                    "gevent==26.9.0",
                    "gevent-websocket==0.10.1",
                    "python-socketio[client]==5.18.1",
                ),
                ("python", "{programs}/socketio_site.py"),
                (
                    Ask("GET", "/", "/", variables={"pieces": 1}),
                    # Engine.IO answers these before Flask sees them.
                    Ask("GET", "/socket.io/?EIO=4&transport=polling", None, reaches=False),
                    Ask("GET", _SOCKET, None, 101, says=("", "40", '42["order",2]'), reaches=False),
                ),
                tracked="pieces",
                settings={"MODE": mode, "PORT": "{port}"},
                environment="flask-socketio",
                vary=('"sid":"[^"]+"',),
            )
            for mode in ("threading", "gevent")
        ),
        Application(
            "flask-admin",
            ("Flask-Admin==2.2.1", "Flask-SQLAlchemy==3.1.1"),
            _flask_run("admin_site"),
            (
                Ask("GET", "/admin/", "/admin/"),
                Ask("POST", "/admin/order/new/", "/admin/order/new/", 302, "item=tea", _FORM, {"item": "tea"}),
                Ask("GET", "/admin/order/?search=", "/admin/order/"),
                # It catches what the view's hook raises, and shows the form again.
                Ask("POST", "/admin/order/new/", "/admin/order/new/", 200, "item=none", _FORM, {"item": "none"}),
                Ask("GET", "/admin/nowhere", None, 404),
            ),
            tracked="item",
            vary=("session=[^;]+",),
        ),
        Application(
            "connexion",
            ("connexion[flask,uvicorn]==3.3.0",),
            ("uvicorn", "--port", "{port}", "--log-level", "warning", "connexion_site:app"),
            (
                _ORDERS[0],
                # Connexion refuses it before Flask sees it.
                Ask("POST", "/orders", None, 400, '{"item": "tea"}', _JSON, reaches=False),
                _ORDERS[2],
                # Exceptions leave Flask, and Connexion around it answers.
                replace(_ORDERS[3], upstream=False),
                replace(_ORDERS[4], upstream=False),
                Ask("GET", "/nowhere", None, 404, upstream=False),
            ),
            tracked=_TRACKED,
        ),
        Application(
            "locust",
            ("locust==2.47.0",),
            ("locust", "-f", "{programs}/locustfile.py", "--web-port", "{port}", "--web-host", "127.0.0.1"),
            (
                Ask("GET", "/", "/"),
                Ask("GET", "/stats/requests", "/stats/requests"),
                Ask("GET", "/exceptions", "/exceptions"),
                Ask("POST", "/stop", "/stop"),
                Ask("GET", "/stats/requests/csv", "/stats/requests/csv"),
                Ask("GET", "/nowhere", None, 404),
            ),
            instrumented={"OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH": "patch_all"},
            vary=(r"\d{4}-\d{2}-\d{2}-\d{2}h\d{2}",),
        ),
        Application(
            "fava",
            ("fava==1.30.16",),
            ("fava", "--port", "{port}", "{programs}/ledger.beancount"),
            (
                Ask("GET", "/ledger/income_statement/", "/<bfile>/<report_name>/", variables=_LEDGER),
                Ask("GET", "/", "/", 302, variables=_LEDGER),
                Ask("GET", "/ledger/nowhere/", "/<bfile>/<report_name>/", 404, variables=_LEDGER),
                Ask(
                    "PUT",
                    "/ledger/api/add_entries",
                    "/<bfile>/api/add_entries",
                    400,
                    "{}",
                    _JSON,
                    _LEDGER,
                    "fava.json_api.MissingParameterValidationError",
                ),
                Ask("GET", "/static/app.js", "/static/<path:filename>"),
            ),
            tracked="beancount_file_slug",
        ),
        Application(
            "moto",
            ("moto[server]==5.2.5",),
            ("moto_server", "-p", "{port}"),
            (
                Ask("PUT", "/bucket", '/<regex("[^/]+"):key_or_bucket_name>'),
                Ask("PUT", "/bucket/key", _S3_KEY, body="content"),
                Ask("GET", "/none/key", _S3_KEY, 404),
                Ask("POST", "/", "/", 200, "Action=GetCallerIdentity&Version=2011-06-15", _FORM),
            ),
            vary=("[A-Za-z0-9]{52}",),
        ),
        Application(
            "flask-appbuilder",
            ("Flask-AppBuilder==5.3.0",),
            _flask_run("builder_site"),
            (
                Ask("GET", "/", "/"),
                Ask("GET", "/orders/all/", "/orders/all/", 302),
                Ask("POST", "/login/", "/login/", 302, "username=ann&password=secret", _FORM, _ANN),
                Ask("GET", "/orders/all/", "/orders/all/", variables=_ANN),
                # Nothing has asked for the user: nothing is loaded for the record.
                Ask("GET", "/orders/fail/", "/orders/fail/", 500, error="RuntimeError"),
            ),
            tracked="user.username",
            vary=("session=[^;]+",),
        ),
        Application(
            "ihatemoney",
            ("ihatemoney==7.2.1",),
            _flask_run("ihatemoney.wsgi:application"),
            (
                Ask("GET", "/", "/"),
                Ask("POST", "/api/projects", "/api/projects", 201, _PROJECT, _FORM, _TEA),
                Ask("GET", "/api/projects/tea", "/api/projects/<string:project_id>", 401),
                Ask("GET", "/authenticate?project_id=tea", "/authenticate"),
                Ask(
                    "POST",
                    "/authenticate?project_id=tea",
                    "/authenticate",
                    302,
                    "id=tea&password=pw&csrf_token={token}",
                    _FORM,
                    _TEA,
                ),
                Ask("GET", "/tea/", "/<project_id>/", variables=_TEA),
                Ask("GET", "/tea/statistics", "/<project_id>/statistics", variables=_TEA),
                Ask("GET", "/nowhere/", "/<project_id>/", 303),
            ),
            tracked="project.id",
            settings={"IHATEMONEY_SETTINGS_FILE_PATH": "{programs}/ihatemoney_settings.py"},
            prepare=(("python", "{programs}/ihatemoney_tables.py"),),
            hidden='name="csrf_token"[^>]*value="([^"]+)"',
            vary=("session=[^;]+", 'value="[^"]{60,}"', r"feed/[^\"]+\.xml"),
        ),
        Application(
            "calibreweb",
            ("calibreweb==0.6.27", "gevent==26.9.0"),
            ("cps", "-p", "{folder}/app.db", "-i", "127.0.0.1", "-o", "{folder}/calibre.log"),
            (
                Ask("GET", "/login", "/login", variables=_THEME),
                Ask("POST", "/login", "/login", 302, _LOGIN, _FORM, _THEME),
                Ask("GET", "/", "/", 302, variables=_THEME),
                Ask("GET", "/nowhere", None, 302, variables=_THEME),
            ),
            tracked="current_theme",
            settings={"CALIBRE_PORT": "{port}", "CALIBRE_DBPATH": "{folder}"},
            hidden='name="csrf_token" value="([^"]+)"',
            vary=("session=[^;]+", 'value="[^"]{60,}"', r"\d{10}"),
        ),
        _mlflow(
            "uvicorn",
            (),
            (
                Ask("POST", _CREATE, _CREATE, 200, '{"name": "tea"}', _JSON),
                Ask("POST", _CREATE, _CREATE, 400, "{}", _JSON),
                Ask("GET", f"{_MLFLOW}/experiments/get?experiment_id=1", f"{_MLFLOW}/experiments/get"),
                # It answers its own exceptions itself.
                Ask("GET", f"{_MLFLOW}/experiments/get?experiment_id=77", f"{_MLFLOW}/experiments/get", 404),
                Ask("POST", f"{_MLFLOW}/runs/create", f"{_MLFLOW}/runs/create", 200, _RUN, _JSON),
                Ask("GET", "/", "/"),
                Ask("GET", "/static-files/favicon.ico", "/static-files/<path:path>"),
                Ask("GET", "/nowhere", None, 404),
            ),
            around="/{path}",
        ),
        _mlflow(
            "gunicorn",
            ("--app-name", "basic-auth", "--gunicorn-opts", "--log-level warning"),
            (
                Ask("GET", "/", "/", 401),
                Ask("POST", _CREATE, _CREATE, 200, '{"name": "tea"}', {**_JSON, **_ADMIN}, _WHO),
                Ask("GET", f"{_MLFLOW}/experiments/get", f"{_MLFLOW}/experiments/get", 400, None, _ADMIN, _WHO),
                Ask("GET", f"{_MLFLOW}/users/current", f"{_MLFLOW}/users/current", 200, None, _ADMIN, _WHO),
                Ask("GET", "/", "/", 200, None, _ADMIN, _WHO),
                Ask("GET", "/health", "/health"),
            ),
            tracked="mlflow_authenticated_user",
        ),
        *(
            Application(
                f"beside-{number}",
                (
                    "sentry-sdk[flask]==2.75.0",
                    "ddtrace==4.16.0",
                    "prometheus_flask_exporter==0.23.2",
                    "Flask-DebugToolbar==0.16.0",
                ),
                (*before, *_flask_run("beside_site")),
                (
                    Ask("GET", "/orders/7", "/orders/<int:number>", variables={"number": 7}),
                    _ORDERS[4],
                    Ask("GET", "/nowhere", None, 404),
                ),
                tracked="number",
                settings={**_DATADOG, "ORDER": order},
                environment="beside",
            )
            for number, (before, order) in enumerate(_BESIDE, 1)
        ),
    )
}

SUITE = "upstream-suite"
"""What ``make test-apps APPS=…`` calls the suite of OpenTelemetry's Flask instrumentation, which is no application."""

SUITE_NEEDS = ("opentelemetry-instrumentation-flask==0.66b1", "opentelemetry-test-utils==0.66b1", "pytest==9.2.0")

ENVIRONMENTS: Mapping[str, tuple[str, ...]] = {
    application.environment: application.needs for application in APPLICATIONS.values()
}
