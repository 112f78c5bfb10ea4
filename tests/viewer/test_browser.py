"""The pages in a real browser: what people see, what they do by keyboard and pointer, and what is asked of whom."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from flask_chest_otel._store.store import EmbeddedStore
from tests.backends.attackers import CORPUS
from tests.backends.require import require_installed, require_module
from tests.viewer.conftest import Served, record_of, write

pytestmark = pytest.mark.real

Serve = Callable[[Path], Served]
PAGES = (
    "/",
    "/requests",
    "/errors",
    "/variables",
    "/variables?name=cart_total",
    "/explain?q=status%3E%3D500",
    "/objectives",
)
WIDTHS = (1440, 1024, 390)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium."""
    require_module("playwright", "playwright")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it is not in every environment

    program = require_installed("chromium", "chromium")
    with sync_playwright() as running:
        # Root, which tests in a container are run by, has no sandbox.
        found = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


class Visit:
    """One window that was let in, and everything that it complained about or asked for.

    Attributes:
        page: The window.
        troubles: Lines of its console that are warnings or errors, and exceptions.
        hosts: Hosts that it asked for something.
    """

    def __init__(self, browser: Any, served: Served, **options: Any) -> None:
        self.served = served
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.hosts: set[str] = set()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", lambda request: self.hosts.add(str(urlsplit(request.url).netloc)))
        self.page.goto(served.links[-1])
        self.page.wait_for_selector("h1")

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(message.text)

    def go(self, address: str) -> Any:
        self.page.goto(self.served.url + address)
        self.page.wait_for_selector("h1")
        return self.page

    @property
    def query(self) -> dict[str, list[str]]:
        """The address that the window shows: its state."""
        return parse_qs(urlsplit(self.page.url).query)


@pytest.fixture
def visit(browser: Any, serve: Serve) -> Iterator[Callable[..., Visit]]:
    """Opens the pages of a store; afterwards nothing may have been complained about, or asked of another host."""
    opened: list[Visit] = []

    def start(path: Path, **options: Any) -> Visit:
        opened.append(Visit(browser, serve(path), **options))
        return opened[-1]

    yield start
    for one in opened:
        assert one.troubles == []
        assert one.hosts == {urlsplit(one.served.url).netloc}
        one.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_at_three_widths(visit: Callable[..., Visit], shop_store: Path, scheme: str) -> None:
    """No page is wider than its window, in light and in dark, nor is any text laid over another."""
    seen = visit(shop_store, color_scheme=scheme)
    for width in WIDTHS:
        seen.page.set_viewport_size({"width": width, "height": 900})
        for address in (*PAGES, "/compare?a=1.4.0&b=1.5.0"):
            page = seen.go(address)
            root = "document.documentElement"
            assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0, (address, width)


def test_axe_finds_nothing(visit: Callable[..., Visit], shop_store: Path) -> None:
    """``axe-core`` has no complaint about any page, in light and in dark."""
    require_module("axe_playwright_python", "axe-playwright-python")
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - it is not in every environment

    axe = Axe()
    for scheme in ("light", "dark"):
        seen = visit(shop_store, color_scheme=scheme, bypass_csp=True)
        failed = seen.go("/requests?q=status%3E%3D500").locator("#rows a").first.get_attribute("href")
        for address in (*PAGES, "/compare?a=1.4.0&b=1.5.0", f"{failed}?by=plan", "/requests?q=plan%3E3"):
            found = axe.run(seen.go(address))
            assert found.violations_count == 0, f"{address} {scheme}\n{found.generate_report()}"


def test_filters_are_the_address(visit: Callable[..., Visit], shop_store: Path) -> None:
    """A filter that is typed stands in the address, its chips take words away, and back goes back."""
    seen = visit(shop_store)
    page = seen.go("/requests")
    page.fill("[name=q]", "plan=gold status>=500")
    page.press("[name=q]", "Enter")
    page.wait_for_url(re.compile("q="))
    assert seen.query["q"] == ["plan=gold status>=500"]
    assert set(page.locator("#rows .status").all_inner_texts()) == {"500"}
    page.get_by_role("link", name="Remove status>=500").click()
    page.wait_for_url(lambda url: "status" not in url)
    assert seen.query["q"] == ["plan=gold"]
    assert "200" in page.locator("#rows .status").all_inner_texts()
    page.go_back()
    page.wait_for_url(re.compile("status"))
    assert page.input_value("[name=q]") == "plan=gold status>=500"


def test_dragging_chooses_a_span_of_time(visit: Callable[..., Visit], shop_store: Path) -> None:
    """What is dragged over in the chart is what the page is about, from the begin of a bar to the end of another."""
    seen = visit(shop_store)
    page = seen.go("/")
    before = int(re.sub(r"\D", "", page.locator(".tiles dd").first.inner_text()))
    box = page.locator("[data-drag] svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("since="))
    after = int(re.sub(r"\D", "", page.locator(".tiles dd").first.inner_text()))
    assert 0.15 * before < after < 0.4 * before
    assert {"since", "until"} == set(seen.query)


def test_new_requests_come_in(visit: Callable[..., Visit], tmp_path: Path) -> None:
    """Live, a request that the application writes stands on top within three seconds, and a filter holds for it."""
    path = write(tmp_path / "live.sqlite3", [record_of(1, 5), record_of(2, 4)])
    seen = visit(path)
    page = seen.go("/requests?q=route%3D/")
    page.click("#live")
    page.wait_for_selector("#live[aria-pressed=true]")
    with closing(EmbeddedStore(path)) as store:
        store.put(record_of(3, 0, route="/other"))
        store.put(record_of(4, 0, request_id="<b>new</b>"))
        assert store.flush(10)
    page.wait_for_selector("#rows tr.fresh", timeout=5000)
    assert page.locator("#rows tr").count() == 3
    assert page.locator("#rows tr").first.locator(".id").inner_text() == "<b>new</b>"
    with closing(EmbeddedStore(path)) as store:
        store.put(record_of(5, 7, duration_s=420, request_id="r-long"))
        assert store.flush(10)
    page.wait_for_selector("#rows tr.fresh >> text=r-long", timeout=5000)
    assert page.locator("#rows tr").count() == 4
    page.click("#live")
    page.wait_for_selector("#live[aria-pressed=false]")


def test_by_keyboard_alone(visit: Callable[..., Visit], shop_store: Path) -> None:
    """From the first page to a failed request and its neighbours, without a pointer; what has the focus is seen."""
    seen = visit(shop_store)
    page = seen.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    page.keyboard.type("status>=500")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q="))
    page.get_by_role("link", name="Requests", exact=True).first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/requests"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector("#why")
    page.get_by_role("link", name="same plan").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#neighbours")
    assert page.locator("#rows tr").count() > 1


def test_copying_an_id(visit: Callable[..., Visit], shop_store: Path) -> None:
    """The button beside an id puts exactly the id on the clipboard."""
    seen = visit(shop_store, permissions=["clipboard-read", "clipboard-write"])
    page = seen.go("/requests/r-7")
    page.get_by_role("button", name="Copy Request id").click()
    page.wait_for_selector("text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "r-7"


def test_without_scripts(visit: Callable[..., Visit], shop_store: Path) -> None:
    """Tables and charts are there, and links lead everywhere, where a browser runs no scripts."""
    seen = visit(shop_store, java_script_enabled=False)
    page = seen.go("/")
    assert page.locator("svg.chart rect.ok").count() > 10
    page.get_by_role("link", name="Requests", exact=True).first.click()
    page.wait_for_selector("#rows a")
    assert not page.locator("#live").is_visible()
    page.locator("#rows a").first.click()
    page.wait_for_selector("#variables")
    assert page.locator("svg.span").count() == 2


def test_attackers_run_nothing(visit: Callable[..., Visit], tmp_path: Path) -> None:
    """No text of the corpus, wherever it stands, opens a window, runs a script or asks another host."""
    texts = [
        *CORPUS.values(),
        "<script>alert(1)</script>",
        '"><img src=//evil.example/x onerror=alert(1)>',
        "javascript:alert(1)",
    ]
    records = [
        record_of(
            number, 1, route=text[:200], path=text[:200], status=500, variables={"plan": text, text[:90] or "-": 1}
        )
        for number, text in enumerate(texts)
    ]
    seen = visit(write(tmp_path / "nasty.sqlite3", records))
    seen.page.on("dialog", lambda dialog: seen.troubles.append(dialog.message))
    for address in ("/requests", "/variables?name=plan", "/", "/errors"):
        page = seen.go(address)
    page = seen.go("/requests")
    links = [link.get_attribute("href") for link in page.locator("#rows a").all()]
    assert len(links) >= 50 or len(links) == len(texts)
    for link in links[:15]:
        seen.go(f"{link}?by=plan")


def test_the_application_beside_it(visit: Callable[..., Visit], tmp_path: Path) -> None:
    """A store is written while pages read it: no record waits or is lost."""
    path = write(tmp_path / "busy.sqlite3", [record_of(0, 5)])
    seen, stop = visit(path), threading.Event()
    with closing(EmbeddedStore(path)) as store:

        def serve_requests() -> None:
            for number in range(1, 501):
                store.put(record_of(number, 0))
                time.sleep(0.002)
            stop.set()

        thread = threading.Thread(target=serve_requests)
        thread.start()
        while not stop.is_set():
            seen.go("/")
            seen.go("/requests")
        thread.join()
        assert store.flush(10)
        assert store.dropped == 0
    assert int(re.sub(r"\D", "", seen.go("/").locator(".tiles dd").first.inner_text())) == 501
