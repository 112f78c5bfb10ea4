"""``flask chest serve``: shows the store as pages in the browser."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from flask_chest_otel._cli import options
from flask_chest_otel._cli.output import say
from flask_chest_otel._cli.source import app_here, app_if_named, open_store, path_of_store
from flask_chest_otel._lifecycle.state import config_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]

PORT = 8765
HIGHEST_PORT = 65535

EXAMPLES = """\b
Examples:
  flask --app shop chest serve --open
  flask chest serve --store instance/flask_chest.sqlite3
  flask chest serve --open-in 'Jaeger=http://127.0.0.1:16686/trace/{trace_id}'
"""


def _link(text: str) -> tuple[str, str]:
    name, equals, template = text.partition("=")
    if not (name and equals and template):
        raise click.BadParameter(
            f"{text!r} is no NAME=ADDRESS: type 'Jaeger=http://127.0.0.1:16686/trace/{{trace_id}}'"
        )
    return name, template


@click.command(name="serve", epilog=EXAMPLES, short_help="Show the store as a page in the browser.")
@click.option(
    "--port",
    type=click.IntRange(min=0, max=HIGHEST_PORT),
    default=PORT,
    show_default=True,
    help="Where it listens, on 127.0.0.1 alone; 0: a free port.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in this machine's browser.")
@click.option(
    "--open-in",
    "links",
    type=_link,
    multiple=True,
    metavar="NAME=ADDRESS",
    help="A link from each request to another program; {trace_id}, {span_id}, {request_id} and {service} are filled"
    " in. May be repeated.",
)
@options.store_option
def command(*, port: int, opens: bool, links: tuple[tuple[str, str], ...], store: Path | None) -> None:
    """Serve pages over the store on 127.0.0.1, until Ctrl+C: requests, errors, variables, what is different.

    The store is only read. Budgets of objectives are shown where the application is named: --app, also beside --store.
    The link that is printed lets one browser in; after that the next one is printed.
    """
    # Imported here because it imports a server, which no other command needs.
    from flask_chest_otel._viewer.links import check_links  # noqa: PLC0415
    from flask_chest_otel._viewer.objectives import Promised  # noqa: PLC0415
    from flask_chest_otel._viewer.pages import Source  # noqa: PLC0415
    from flask_chest_otel._viewer.server import viewer_server  # noqa: PLC0415

    path = path_of_store(store)
    with open_store(path):
        pass  # an unreadable store ends the command here
    app = app_here() if store is None else app_if_named()
    config = config_of(app) if app is not None else None
    promised = Promised(app.name, config.slos) if app is not None and config is not None else None
    source = Source(lambda: path, check_links(dict(links)), lambda: promised)
    try:
        server, link = viewer_server(source, port, lambda used: say(f"For another browser:\n\n  {used}\n"))
    except OSError as error:
        raise click.ClickException(
            f"port {port} of 127.0.0.1 cannot be had ({error.strerror}): type --port 0"
        ) from error
    say(f"The store {path} as a page, until Ctrl+C:\n\n  {link}\n")
    if opens:
        webbrowser.open(link)
    with suppress(KeyboardInterrupt):
        server.serve_forever()
