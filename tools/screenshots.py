"""Take the pictures of the pages that README and documentation show, from the example shop, with Debian's chromium.

python -m tools.screenshots [--folder docs/assets/page]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

__all__ = ["main"]

WIDTH, HEIGHT = 1200, 720
REQUESTS = 1200
PAGES = {
    "overview": "/",
    "requests": "/requests",
    "errors": "/errors",
    "variables": f"/variables?{urlencode({'name': 'cart_total'})}",
    "explain": f"/explain?{urlencode({'q': 'error=BankError'})}",
    "compare": f"/compare?{urlencode({'a': '1.4.0', 'b': '1.5.0'})}",
    "objectives": "/objectives",
}


def main(arguments: list[str] | None = None) -> int:
    """Take them; without chromium or playwright, say what to install."""
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description="Take pictures of the pages.")
    parser.add_argument("--folder", type=Path, default=Path("docs/assets/page"), help="where they go")
    given = parser.parse_args(arguments)
    program = shutil.which("chromium")
    if program is None:
        print("chromium is not installed: apt-get install chromium", file=sys.stderr)  # noqa: T201 - what a command line says
        return 69
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        take(Path(folder), given.folder, program)
    return 0


def take(folder: Path, pictures: Path, program: str) -> None:
    """Serve the shop into a store below ``folder``, show it, and take a picture of each page."""
    # Imported here: --help needs neither.
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    from examples.shop.app import create_app  # noqa: PLC0415
    from examples.shop.demo import serve  # noqa: PLC0415
    from flask_chest_otel._lifecycle.state import config_of  # noqa: PLC0415
    from flask_chest_otel._viewer.objectives import Promised  # noqa: PLC0415
    from flask_chest_otel._viewer.pages import Source  # noqa: PLC0415
    from flask_chest_otel._viewer.server import viewer_server  # noqa: PLC0415

    store = serve(folder, REQUESTS)
    app = create_app(str(folder))
    config = config_of(app)
    promised = Promised(app.name, config.slos) if config is not None else None
    server, link = viewer_server(Source(lambda: store, promised=lambda: promised), 0, lambda _link: None)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(link)
        page.wait_for_selector("h1")
        for name, address in {**PAGES, "request": _failed(page, server)}.items():
            page.goto(f"http://127.0.0.1:{server.port}{address}")
            page.wait_for_selector("h1")
            # Open, a stack would show the folders of this machine.
            if page.locator(".error details[open] summary").count():
                page.locator(".error summary").click()
            page.screenshot(path=pictures / f"{name}.png")
            print(pictures / f"{name}.png")  # noqa: T201 - what a command line says
        browser.close()
    server.shutdown()


def _failed(page: Any, server: Any) -> str:
    """The address of a request that failed."""
    page.goto(f"http://127.0.0.1:{server.port}/requests?{urlencode({'q': 'error=BankError'})}")
    return str(page.locator("#rows a").first.get_attribute("href"))


if __name__ == "__main__":
    sys.exit(main())
