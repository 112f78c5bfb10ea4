"""What the pages say, as HTML and as JSON, of a store that is known."""

from __future__ import annotations

import gzip
import html
import json
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
import requests as http

import flask_chest_otel
from flask_chest_otel._records.record import ChildSpan, RequestError
from flask_chest_otel._viewer.charts import Series, bars
from flask_chest_otel._viewer.door import Door
from flask_chest_otel._viewer.pages import Source
from flask_chest_otel._viewer.server import make_app
from tests.backends.attackers import CORPUS
from tests.viewer.conftest import record_of, shop

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.testing import FlaskClient

    Browse = Callable[[Path], FlaskClient]

STATIC = Path(flask_chest_otel.__file__).parent / "_viewer" / "static"
NAMES = ("overview", "requests", "errors", "variables", "explain", "compare", "objectives")


def answered(client: FlaskClient, path: str, **query: Any) -> Any:
    answer = client.get(f"{path}?{urlencode(query)}")
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)


def test_the_overview_counts_what_is_there(shop_store: Path, browse: Browse) -> None:
    """Totals, series and routes are the counts that the database itself gives."""
    with closing(sqlite3.connect(shop_store)) as connection:
        (count, failed, refused) = connection.execute(
            "SELECT count(*), total(status >= 500), total(status BETWEEN 400 AND 499) FROM chest_requests"
        ).fetchone()
    found = answered(browse(shop_store), "/overview.json")
    assert (found["total"]["count"], found["total"]["server_errors"], found["total"]["client_errors"]) == (
        count,
        failed,
        refused,
    )
    assert sum(one["count"] for one in found["series"]) == count
    assert sum(one["count"] for one in found["routes"]) == count
    assert len(found["series"]) <= 122
    assert failed > 10


def test_a_span_of_time(shop_store: Path, browse: Browse) -> None:
    """What is chosen on the chart is what the figures are about."""
    client = browse(shop_store)
    every = answered(client, "/overview.json")["series"]
    first, last = every[10]["start_s"], every[19]["start_s"] + 60
    span = {"since": f"@{first}", "until": f"@{last}"}
    span = {
        name: client.application.jinja_env.filters["chest_moment"](at)
        for name, at in (("since", first), ("until", last))
    }
    found = answered(client, "/overview.json", **span)
    assert found["total"]["count"] == sum(one["count"] for one in every[10:20])


def test_every_page_is_reached_by_links(shop_store: Path, browse: Browse) -> None:
    """Starting at the first page, links lead to all others and each answers; nothing leads out of the page."""
    client = browse(shop_store)
    waiting, seen = ["/"], set[str]()
    while waiting and len(seen) < 250:
        address = waiting.pop()
        if address in seen or address.startswith(("/static", "/live", "http://j.test/")):
            continue
        seen.add(address)
        answer = client.get(address)
        assert answer.status_code == 200, address
        links = [part.split('"')[0].replace("&amp;", "&").split("#")[0] for part in answer.text.split('href="')[1:]]
        assert [link for link in links if link and not link.startswith(("/", "http://j.test/"))] == []
        kinds = {link.partition("?")[0] for link in seen}
        # One of each kind first, then whatever comes.
        waiting += sorted((link for link in links if link), key=lambda link: link.partition("?")[0] not in kinds)
    paths = {address.partition("?")[0] for address in seen}
    assert {f"/{name}" for name in NAMES if name != "overview"} <= paths
    assert any(path.startswith("/requests/") for path in paths)


def test_one_request_says_why(shop_store: Path, browse: Browse) -> None:
    """Exception, place, stack, spans, log lines, variables and ids of a failed request are on its page."""
    client = browse(shop_store)
    failed = answered(client, "/requests.json", q="status>=500")["requests"][0]
    text = client.get(f"/requests/{failed['request_id']}").text
    for words in (
        "shop.WarehouseError",
        "no connection",
        "shop:checkout:88",
        "reserve(order)",
        "SELECT stock",
        "parse rows",
        "db.query.text",
        f"line of {failed['request_id'][2:]}",
        failed["trace_id"],
        "masked",
        f"http://j.test/trace/{failed['trace_id']}",
        f"flask chest show {failed['request_id']}",
        "curl -i -X POST",
    ):
        assert words in text, words
    assert "[REDACTED]" not in text
    data = answered(client, f"/requests/{failed['key']}.json")
    assert [span["depth"] for span in data["spans"]] == [0, 1]
    assert data["spans"][0]["part"] == pytest.approx(0.004 / (failed["duration_ms"] / 1000), rel=0.01)
    assert data["request"]["error"][0] == "shop.WarehouseError" or data["request"]["error"]["type"]


def test_an_id_by_its_beginning(shop_store: Path, browse: Browse) -> None:
    """A beginning that several ids share lists them; an unknown id is a 404 that says so."""
    client = browse(shop_store)
    assert "Several requests" in client.get("/requests/r-1").text or client.get("/requests/r-1").status_code == 200
    assert "Several requests" in client.get("/requests/r-12").text or client.get("/requests/r-12").status_code == 200
    assert client.get("/requests/nobody").status_code == 404
    assert "no such request" in client.get("/requests/nobody").text


def test_pages_of_requests(shop_store: Path, browse: Browse) -> None:
    """Going to older requests page by page shows each once, the newest first."""
    client, keys, older = browse(shop_store), [], ""
    while True:
        found = answered(client, "/requests.json", before=older)
        keys += [request["key"] for request in found["requests"]]
        older = found["older"]
        if older is None:
            break
    assert len(keys) == 2000
    assert keys == sorted(set(keys), reverse=True)


@pytest.mark.parametrize("before", ["x", "0" * 32, "g" * 32, "f" * 32, "\u0661" * 32, "-1", "0x" + "1" * 30])
def test_a_made_up_place(shop_store: Path, browse: Browse, before: str) -> None:
    """A place in the list that nobody has been at is no error."""
    assert browse(shop_store).get(f"/requests?{urlencode({'before': before})}").status_code == 200


def test_a_cause_is_named(shop_store: Path, browse: Browse) -> None:
    """Of the failed requests the page names what was planted: gold customers who check out."""
    found = answered(browse(shop_store), "/explain.json", q="status>=500")["explained"]
    words = " ".join(found["findings"][0]["words"] + found["findings"][0]["along"])
    assert "plan is gold" in words
    assert "1.5.0" in words
    assert found["chosen"] + found["rest"] == 2000


def test_two_versions(shop_store: Path, browse: Browse) -> None:
    """The version with the defect has more errors than chance would have it; times do not differ."""
    found = answered(browse(shop_store), "/compare.json", a="1.4.0", b="1.5.0")["compared"]
    differs = {one["name"]: one["differs"] for one in found["measures"]}
    assert differs["errors"]
    assert not differs["p50"]
    assert "type" in answered(browse(shop_store), "/compare.json", a="1.4.0", b="??")["trouble"]


def test_a_day_that_is_not_over(shop_store: Path, browse: Browse) -> None:
    """Its rate is that of the hours that have been, and no part of those to come."""
    client = browse(shop_store)
    found = answered(client, "/compare.json", a="today", b="2h")["compared"]
    now = datetime.now(timezone.utc)
    passed_s = now.hour * 3600 + now.minute * 60 + now.second
    assert found["measures"][0]["a"] == pytest.approx(found["requests"][0] / passed_s, rel=0.01)


def test_rows_that_somebody_else_wrote(make_store: Callable[..., Path], browse: Browse) -> None:
    """A row whose key is none of ours is shown like others, and breaks no page."""
    path = make_store(shop(50))
    with closing(sqlite3.connect(path)) as connection, connection:
        (key,) = connection.execute("SELECT max(record_key) FROM chest_requests WHERE status = 200").fetchone()
        for table, column in (("chest_requests", "record_key"), ("chest_variables", "request_key")):
            connection.execute(f"UPDATE {table} SET {column} = 'nobody made this key' WHERE {column} = ?", (key,))
        connection.execute("UPDATE chest_requests SET error_type = 'X' WHERE record_key LIKE 'nobody%'")
    client = browse(path)
    for address in (
        "/",
        "/requests",
        "/requests/nobody?by=plan",
        "/errors",
        "/explain?q=ms%3E0",
        "/variables",
        "/compare",
    ):
        assert client.get(address).status_code == 200, address


def test_a_clock_that_was_wrong_by_years(make_store: Callable[..., Path], browse: Browse) -> None:
    """A request of the year 2191 beside today's makes no more bars than can be seen."""
    far = record_of(900, 0, start_unix_ns=7 * 10**18)
    series = answered(browse(make_store([*shop(50), far])), "/overview.json")["series"]
    assert sum(one["count"] for one in series) == 51
    assert len(series) <= 122


def test_variables(shop_store: Path, browse: Browse) -> None:
    """Each variable with its values; sums of amounts are right to the cent, ids have none."""
    client = browse(shop_store)
    expected = round(sum(record.variables.get("cart_total", 0) for record in shop(2000)), 2)
    one = answered(client, "/variables.json", name="cart_total")["one"]
    assert one["sum"] == pytest.approx(expected)
    assert sum(part["count"] for part in one["bins"]) == one["count"]
    plans = answered(client, "/variables.json", name="plan")["one"]
    assert {row["value"] for row in plans["top"]} == {"free", "gold", "silver"}
    assert plans["sum"] is None


def test_objectives(shop_store: Path, browse: Browse) -> None:
    """Good and bad requests, budget, burn rate and bars are those of the requests; the link finds just the bad ones."""
    client = browse(shop_store)
    found = {one["name"]: one for one in answered(client, "/objectives.json")["objectives"]}
    verdicts = [record.slos["checkout"] for record in shop(2000) if "checkout" in record.slos]
    one, bad = found["checkout"], verdicts.count(False)
    assert (one["good"], one["bad"]) == (verdicts.count(True), bad)
    assert bad > 10
    assert one["budget_left"] == pytest.approx(1 - bad / len(verdicts) / 0.01, abs=1e-5)
    assert one["burn"] == pytest.approx(bad / len(verdicts) / 0.01, rel=0.1)
    assert one["spent_in_s"] == 0
    assert sum(bar["bad"] for bar in one["series"]) == bad
    requests = answered(client, "/requests.json", q=one["bad_requests"])["requests"]
    assert {request["status"] for request in requests} == {500}
    assert len(requests) > 10
    assert (found["shelf"]["bad"], found["shelf"]["budget_left"], found["shelf"]["spent_in_s"]) == (0, 1.0, None)
    page = client.get("/objectives").text
    for words in ("99 % good in 30 days", "it is spent", "No request has come for it yet", "No request was bad"):
        assert words in page, words


def test_one_bad_request_of_thousands_is_seen() -> None:
    """The bar of few bad requests below many good ones is high enough, and both together fit into the chart."""
    chart = bars([Series("failed", [1, 0]), Series("ok", [5000, 10])], ["first", "second"], "requests")
    shapes = re.findall(r'<rect class="(failed|ok)" x="([\d.]+)" y="([\d.-]+)" width="[\d.]+" height="([\d.]+)"', chart)
    heights = {(name, float(x) < 500): (float(y), float(height)) for name, x, y, height in shapes}
    assert heights.keys() == {("failed", True), ("ok", True), ("ok", False)}
    assert heights["failed", True][1] >= 3
    assert min(y for y, _ in heights.values()) >= 0
    assert all(height >= 3 for _, height in heights.values())


def test_the_server_shows_budgets_of_a_file(
    shop_store: Path, tmp_path: Path, start_serving: Callable[..., str]
) -> None:
    """A copied file beside a named application: its budgets are there; without the name, the counts alone."""
    (tmp_path / "shop.py").write_text(
        "from flask import Flask\nfrom flask_chest_otel import SLO, FlaskChest\napp = Flask('shop')\n"
        "FlaskChest(app, slos=[SLO('checkout', objective=99)])\n"
    )
    assert "Budget left" in start_serving("--app", "shop", "chest", "serve", "--store", str(shop_store))
    without = start_serving("chest", "serve", "--store", str(shop_store))
    assert "Budget left" not in without
    assert "Share of bad ones" in without
    broken = start_serving("--app", "nowhere", "chest", "serve", "--store", str(shop_store))
    assert "Share of bad ones" in broken


@pytest.fixture
def start_serving(tmp_path: Path) -> Callable[..., str]:
    """Runs ``flask`` with some words in a folder, and gives its page of objectives."""

    def serve(*words: str) -> str:
        command = [sys.executable, "-u", "-m", "flask", *words, "--port", "0"]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            try:
                assert process.stdout is not None
                link = next(line for line in map(bytes.decode, process.stdout) if "token=" in line).strip()
                session = http.Session()
                assert session.get(link, timeout=20).status_code == 200
                return session.get(f"{link.partition('?')[0]}objectives", timeout=20).text
            finally:
                process.terminate()

    return serve


def test_objectives_without_the_application(make_store: Callable[..., Path]) -> None:
    """A copied file shows how its requests were counted, and says who knows the rest; an empty one, what to type."""
    for records, words in ((shop(100), "Share of bad ones"), ([record_of(1, 1)], "SLO(&#34;checkout&#34;")):
        door = Door(8080, lambda _link: None)
        client = make_app(Source(lambda: made), door).test_client()  # noqa: B023 - asked in this round
        made = make_store(records)
        local = "http://127.0.0.1:8080"
        client.get(f"/?{door.link.partition('?')[2]}", base_url=local)
        text = client.get("/objectives", base_url=local).text
        assert words in text.replace('"', "&#34;")
        assert "flask --app shop chest serve" in text
        made.unlink()


def test_errors(shop_store: Path, browse: Browse) -> None:
    """One group with all of them, over time, and the way to its requests."""
    (group,) = answered(browse(shop_store), "/errors.json")["groups"]
    assert (group["type"], group["route"], group["count"]) == ("shop.WarehouseError", "/checkout", sum(group["times"]))


def test_spans_in_a_circle(make_store: Callable[..., Path], browse: Browse) -> None:
    """Spans that are each other's parents, or their own, are shown once each."""
    parents = {1: 2, 2: 1, 3: 3}
    spans = [ChildSpan(f"s{at}", "db", f"{at:016x}", f"{up:016x}", at, 0.01, "ok", {}) for at, up in parents.items()]
    client = browse(make_store([record_of(1, 1, spans=tuple(spans))]))
    assert sorted(one["name"] for one in answered(client, "/requests/r-1.json")["spans"]) == ["s1", "s2", "s3"]


def test_an_empty_store(make_store: Callable[..., Path], browse: Browse) -> None:
    """Where nothing was recorded, each page says so, and what to do."""
    client = browse(make_store([]))
    for name in NAMES:
        answer = client.get(f"/{'' if name == 'overview' else name}")
        assert answer.status_code in (200, 503)
    path = make_store([record_of(1, 1)])
    client = browse(path)
    assert "No request has recorded an exception" in client.get("/errors").text
    assert "No request has set a tracked variable" in client.get("/variables").text
    assert "No request is like that" in client.get("/?q=plan%3Dx").text


def test_no_store(tmp_path: Path, browse: Browse) -> None:
    """A store that is gone, or no store at all, is a page with a sentence, and no error of ours."""
    broken = tmp_path / "broken.sqlite3"
    broken.write_bytes(b"no database" * 1000)
    for path in (tmp_path / "gone.sqlite3", broken):
        answer = browse(path).get("/requests")
        assert answer.status_code == 503
        assert path.name in answer.text


def test_nasty_values_are_inert(make_store: Callable[..., Path], browse: Browse) -> None:
    """Every text of the corpus, wherever a record holds text, is shown as text on every page."""
    texts = [
        *CORPUS.values(),
        "<script>alert(1)</script>",
        "'\"><img src=x onerror=alert(1)>",
        "{{7*7}}",
        "\u202egnp.exe",
    ]
    records = [
        record_of(
            number,
            1 + number / 100,
            request_id=text[:200] or "-",
            route=text[:200],
            path=text[:200],
            method=text[:20] or "-",
            service=text[:50] or "-",
            version=text[:50],
            status=500,
            variables={text[:100] or "-": text, "plan": text},
            error=RequestError(text[:100], text, text[:100], text, handled=False),
            refused={text[:50] or "-": text},
        )
        for number, text in enumerate(texts)
    ]
    client = browse(make_store(records))
    addresses = [
        "/",
        "/errors",
        "/variables",
        "/variables?name=plan",
        "/explain?q=ms%3E0",
        "/requests",
        "/compare?a=1h&b=1h",
    ]
    keys = [one["key"] for one in answered(client, "/requests.json")["requests"]]
    for address in [*addresses, *(f"/requests/{key}?by=plan" for key in keys)]:
        text = client.get(address).text
        for bad in ("<script>alert", "<img src=x", "\x1b", "\x00", "49}}"):
            assert bad not in text, address
        assert text.count("<script") == 1


def test_an_old_store(tmp_path: Path, browse: Browse) -> None:
    """A file of the first release is shown: what it does not know is left out."""
    old = Path(__file__).parent.parent / "data" / "version1" / "store.sqlite3.gz"
    path = tmp_path / "old.sqlite3"
    path.write_bytes(gzip.decompress(old.read_bytes()))
    client = browse(path)
    assert answered(client, "/overview.json")["total"]["count"] > 0
    (key, *_) = [one["key"] for one in answered(client, "/requests.json")["requests"]]
    for address in (f"/requests/{key}", "/objectives", "/requests?q=bad%3Dcheckout"):
        assert client.get(address).status_code == 200


def test_ten_thousand_routes(make_store: Callable[..., Path], browse: Browse) -> None:
    """An application that makes up routes gets a page that can be read: the busiest, and how many are left out."""
    records = [record_of(number, 5, route=f"/r/{number % 10_000}") for number in range(10_100)]
    client = browse(make_store(records))
    page = client.get("/")
    assert page.status_code == 200
    assert len(page.data) < 200_000
    assert "are left out" in page.text


def test_light_pages(shop_store: Path, browse: Browse) -> None:
    """A page with everything that it loads has at most 120 KB."""
    client = browse(shop_store)
    files = sum((STATIC / name).stat().st_size for name in ("viewer.css", "viewer.js", "icon.svg"))
    for address in ("/", "/requests", "/errors", "/variables?name=cart_total"):
        assert len(client.get(address).data) + files < 120_000, address


def test_numbers_are_for_people_and_exact_where_somebody_asks(make_store: Callable[..., Path], browse: Browse) -> None:
    """Tables show four significant digits and no exponent for thousands; tooltip and JSON have the exact number."""
    exact, large = 0.0014624039977206849, 79874.12345678
    client = browse(
        make_store(
            record_of(at, 5, variables={"took": exact * (1 + at), "worth": large, "paid": 1234.56, "parts": (exact,)})
            for at in range(3)
        )
    )
    for path in ("/requests", "/requests/r-0", "/variables", "/variables?name=took", "/variables?name=worth"):
        text = client.get(path).text
        seen = re.sub(r"<[^>]*>", " ", text)
        assert not re.search(r"\d\.\d{7}|\de[+-]", seen), (path, seen)
    seen = client.get("/requests/r-0").text
    assert f'title="{exact}">0.001462<' in seen
    assert ">79874<" in seen
    assert ">1234.56<" in seen
    assert "79\u202f874" in client.get("/variables?name=worth").text
    assert answered(client, "/variables.json", name="took")["one"]["lowest"] == exact


def test_figures_of_tiny_numbers_are_not_rounded_away(make_store: Callable[..., Path], browse: Browse) -> None:
    """Sum and mean of seconds below a microsecond are what the values say, not zero."""
    client = browse(make_store(record_of(at, 5, variables={"took_s": 2e-7}) for at in range(4)))
    (found,) = answered(client, "/variables.json")["variables"]
    assert (found["sum"], found["mean"]) == (pytest.approx(8e-7), pytest.approx(2e-7))


@pytest.mark.parametrize(
    ("path", "head"),
    [
        ("/?q=plan=gold", "REQUEST"),
        ("/requests?q=ms>1&since=2026-01-01T14:00", "TIME"),
        ("/errors?q=plan=gold+ms>1+id=r-7", None),
        ("/variables?name=plan", "REQUEST"),
        ("/explain?q=status>=500", "Chosen:"),
        ("/compare?a=1.4.0&b=1.5.0", "A:"),
        ("/requests/r-3", "GET"),
    ],
)
def test_the_question_as_a_command(path: str, head: str | None, shop_store: Path, browse: Browse) -> None:
    """Each page shows a command that a terminal takes as it stands; times of an address are in UTC there, too."""
    shown = re.search(r"As a command</span> <code>(.*?)</code>", browse(shop_store).get(path).text)
    assert shown is not None
    words = shlex.split(html.unescape(shown[1]))
    assert words[:2] == ["flask", "chest"]
    assert ("--utc" in words) is ("since" in path or "compare" in path)
    done = subprocess.run(
        [sys.executable, "-m", "flask", *words[1:], "--store", str(shop_store)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert head is None or done.stdout.startswith(head)


def test_no_command_where_a_terminal_means_something_else(shop_store: Path, browse: Browse) -> None:
    """`flask chest explain` chooses by status, time and exception alone; for other filters no command is shown."""
    assert "flask chest explain" not in browse(shop_store).get("/explain?q=plan=gold").text


def test_values_of_the_same_count_are_in_the_order_of_numbers(make_store: Callable[..., Path], browse: Browse) -> None:
    """9.5 comes before 20.5 and 105.6, as people expect; texts are in the order of the alphabet."""
    values = [105.6, 9.5, 20.5]
    client = browse(make_store(record_of(at, 5, variables={"n": one, "t": f"v{one}"}) for at, one in enumerate(values)))
    numbers, texts = (answered(client, "/variables.json", name=name)["one"]["top"] for name in "nt")
    assert [one["value"] for one in numbers] == ["9.5", "20.5", "105.6"]
    assert [one["value"] for one in texts] == ["v105.6", "v20.5", "v9.5"]
