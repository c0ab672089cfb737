"""The report's page in a real browser, from a file: 2,000 rows, filtered, in order, and safe."""

from __future__ import annotations

import html
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import Pair, write_table
from report_tables import SHOWN, result_of, row_of

from MammoTrackerLib import Box
from MammoTrackerLib.command.cli import main

COUNT = 2000
EVIL = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2>"
EVIL_TYPE = "\"'><svg onload=window.hacked=3>&amp;\u2028{{data}}<!--<script>"


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if None in programs:
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage"):
        options.add_argument(f"--{argument}")
    options.add_argument("--window-size=1400,1000")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.chrome.service.Service(programs[1])
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def rows(pair: Pair) -> tuple[list[dict], list[dict]]:
    """Make a manifest and results: most rows are on two pairs' images, one of them unreadable."""
    rng = np.random.default_rng(3)
    statuses = list(SHOWN)
    asked, answers = [], []
    for k in range(COUNT):
        name = f"P{k // 10:03d}"
        row = row_of(pair, name, f"lesion {k % 10}", ("mass", "calcification")[k % 2])
        if k == 7:
            row |= {"pair_id": EVIL, "lesion_id": EVIL, "lesion_type": EVIL_TYPE}
        if k % 100 == 99:
            row["prior"] = row["current"] = "missing.png"
        status = (
            statuses[k % 5] if k < 50 else str(rng.choice(statuses, p=(0.8, 0.1, 0.06, 0.02, 0.02)))
        )
        factor, moved = rng.uniform(0.8, 1.4), rng.uniform(0, 80)
        box = Box.from_center(
            *pair.truth.center, pair.truth.width * factor, pair.truth.height * factor
        )
        message = EVIL if k == 7 else f"Row {k} is {status}."
        asked.append(row)
        answers.append(result_of(row, box, round(rng.uniform(), 4), status, moved, message))
    return asked, answers


@pytest.fixture(scope="module")
def page(rows, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_table(folder / "manifest.csv", rows[0])
    write_table(folder / "results.csv", rows[1])
    out = folder / "out"
    argv = ["report", str(folder / "results.csv"), "--manifest", str(folder / "manifest.csv")]
    assert main([*argv, "--out", str(out)]) == 0
    (folder / "manifest.csv").unlink()
    assert all(len(list(f.iterdir())) <= 1000 for f in (out / "pictures").iterdir())
    return out / "index.html"


@pytest.fixture
def shown(browser, page):
    """Open the page anew; afterwards nothing may have complained or asked a network."""
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(page.as_uri())
    yield browser
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert asked and all(url.startswith(page.parent.as_uri()) for url in asked)


def run(browser, script: str, *arguments):
    return browser.execute_script(script, *arguments)


def choose(browser, name: str, value: str) -> str:
    """Set a field as a user does; returns what the page says is shown."""
    return run(
        browser,
        "const n = document.getElementById(arguments[0]); n.value = arguments[1];"
        "n.dispatchEvent(new Event(n.tagName === 'SELECT' ? 'change' : 'input'));"
        "return document.getElementById('count').textContent",
        name,
        value,
    )


def titles(browser, count: int = 3) -> list[str]:
    script = (
        "return [...document.querySelectorAll('.card')].slice(0, arguments[0]).map("
        "c => [...c.querySelectorAll('.line')].slice(0, 2)"
        ".map(l => l.firstChild.textContent).join('/'))"
    )
    return run(browser, script, count)


def expected(rows, keep, key=None) -> list[str]:
    """Return the titles of rows (place, asked, answer) that are kept, in the order of a key."""
    kept = [(k, a, b) for k, (a, b) in enumerate(zip(*rows, strict=True)) if keep(a, b)]
    if key:
        kept.sort(key=lambda row: key(row[2]))
    return [f"{a['pair_id']}/{a['lesion_id']}" for _, a, _ in kept]


def test_numbers_and_first_cards(shown, rows):
    statuses = [answer["status"] for answer in rows[1]]
    text = run(shown, "return document.getElementById('tiles').innerText")
    for status in SHOWN:
        assert f"{statuses.count(status):,}" in text and status in text
    assert titles(shown, 7) == expected(rows, lambda a, b: True)[:7]
    assert "2,000 lesions in 201 pairs" in run(shown, "return document.body.innerText")
    assert "not a medical device" in run(shown, "return document.querySelector('footer').innerText")
    bars = run(
        shown,
        "return [...document.querySelectorAll('.chart')].map(c => [...c.querySelectorAll('title')]"
        ".map(t => Number(t.textContent.match(/(\\d+) of/)[1])))",
    )
    with_score = sum(s in ("found", "uncertain", "not found") for s in statuses)
    answered = [k for k, s in enumerate(statuses) if s in ("found", "uncertain")]
    assert [sum(chart) for chart in bars] == [with_score, len(answered), len(answered)]


def test_only_what_is_seen_exists_and_loads(shown):
    images = "return document.images.length"
    assert 8 <= run(shown, images) <= 60
    assert run(shown, "return [...document.images].every(i => i.loading === 'lazy')")
    wait_for(shown, "return [...document.images].some(i => i.complete && i.naturalWidth === 720)")
    run(shown, "scrollTo(0, document.body.scrollHeight)")
    wait_for(
        shown, "return [...document.querySelectorAll('li')].some(l => l.dataset.place === '1999')"
    )
    assert run(shown, images) <= 60
    loaded = run(shown, "return performance.getEntriesByType('resource').length")
    assert loaded <= 120
    assert "cannot be read" in run(
        shown,
        "return document.querySelector('li[data-place=\"1999\"]').innerText",
    )


def wait_for(browser, script: str) -> None:
    deadline = time.monotonic() + 20
    while not run(browser, script):
        assert time.monotonic() < deadline, script
        time.sleep(0.05)


def test_filters(shown, rows):
    for status in SHOWN:
        some = expected(rows, lambda a, b, status=status: b["status"] == status)
        assert choose(shown, "status", status) == f"{len(some):,} of 2,000"
        assert titles(shown) == some[:3]
    pressed = (
        "return [...document.querySelectorAll('.tile[aria-pressed=true]')].map(t => t.innerText)"
    )
    (tile,) = run(shown, pressed)
    assert "failed" in tile
    run(shown, "document.querySelector('.tile.found').click()")
    assert run(shown, "return document.getElementById('status').value") == "found"
    run(shown, "document.querySelector('.tile.found').click()")
    assert choose(shown, "text", "p01 LESION") == "100 of 2,000"
    assert choose(shown, "text", "P012/lesion 3") == "1 of 2,000"
    assert titles(shown) == ["P012/lesion 3"]
    assert choose(shown, "text", "nobody") == "0 of 2,000"
    assert run(shown, "return document.getElementById('none').offsetHeight > 0")
    choose(shown, "text", "")
    some = expected(rows, lambda a, b: a["lesion_type"] == "calcification")
    kept = choose(shown, "type", "=calcification")
    assert kept == f"{len(some):,} of 2,000" and titles(shown) == some[:3]
    run(shown, "document.getElementById('reset').click()")
    assert run(shown, "return document.getElementById('count').textContent") == "All 2,000"
    run(shown, "document.querySelectorAll('.bin')[19].dispatchEvent(new Event('click'))")
    scored = ("found", "uncertain", "not found")
    some = expected(rows, lambda a, b: b["status"] in scored and b["score"] >= 0.95)
    assert titles(shown) == some[:3]
    assert f"{len(some)} of 2,000" in run(
        shown, "return document.getElementById('count').textContent"
    )
    run(shown, "document.querySelector('.ranges button').click()")
    assert run(shown, "return document.getElementById('count').textContent") == "All 2,000"


def test_order(shown, rows):
    scored = ("found", "uncertain", "not found")
    up = expected(rows, lambda a, b: b["status"] in scored, lambda b: b["score"])
    assert choose(shown, "order", "score") == "All 2,000" and titles(shown) == up[:3]
    run(shown, "document.getElementById('direction').click()")
    assert titles(shown)[0] == up[-1]
    run(shown, "scrollTo(0, document.body.scrollHeight)")
    last = "return [...document.querySelectorAll('li')].at(-1)"
    wait_for(shown, f"{last}.dataset.place === '1999'")
    assert run(shown, f"{last}.innerText").find("%)") < 0, "rows without a number come last"
    run(shown, "scrollTo(0, 0)")
    choose(shown, "order", "shift")
    answered = expected(
        rows, lambda a, b: b["status"] in scored[:2],
        lambda b: -abs(b["registration_x0"] - b["x0"]),
    )  # fmt: skip
    assert titles(shown)[0] == answered[0]


def test_texts_of_tables_stay_texts(shown, rows):
    assert run(shown, "return [window.hacked, document.title]") == [None, "MammoTracker report"]
    card = run(
        shown, "const c = document.querySelectorAll('.card')[7]; return [c.innerText, c.ariaLabel]"
    )
    assert EVIL in card[0] and EVIL in card[1]
    run(shown, "document.querySelectorAll('.card')[7].click()")
    assert (
        run(shown, "return document.getElementById('detail-title').textContent") == f"{EVIL} {EVIL}"
    )
    assert EVIL in run(shown, "return document.getElementById('detail-body').textContent")
    options = run(
        shown, "return [...document.getElementById('type').options].map(o => o.textContent)"
    )
    assert EVIL_TYPE.replace("\u2028", " ") in options
    assert run(shown, "return document.querySelectorAll('svg[onload], img[onerror]').length") == 0


def test_the_policy_lets_nothing_else_run_or_load(browser, page):
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(page.as_uri())
    run(
        browser,
        "document.body.insertAdjacentHTML('beforeend', arguments[0]);"
        "const script = document.createElement('script');"
        "script.textContent = 'window.hacked = 2'; document.body.append(script)",
        "<img src=x onerror='window.hacked=1'><img src='http://127.0.0.1:9/a.png'>"
        "<style>body{color:red}</style><link rel=stylesheet href='http://127.0.0.1:9/b.css'>",
    )
    answer = browser.execute_async_script(
        "const done = arguments[0];"
        "fetch('http://127.0.0.1:9/').then(() => done('asked'), error => done(error.name))"
    )
    assert answer == "TypeError"
    assert run(browser, "return window.hacked ?? 0") == 0
    color = run(browser, "return getComputedStyle(document.body).color")
    assert color != "rgb(255, 0, 0)"
    refused = " ".join(entry["message"] for entry in browser.get_log("browser"))
    for directive in ("script-src sha256", "style-src sha256", "img-src", "default-src"):
        assert directive in refused.replace("'", ""), refused
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [
        event["params"]["requestId"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        if event["params"]["request"]["url"].startswith("http")
    ]
    blocked = [
        event["params"]["requestId"]
        for event in events
        if event["method"] == "Network.loadingFailed"
        if event["params"].get("blockedReason") == "csp"
    ]
    assert set(sent) <= set(blocked)


def test_keys_details_and_boxes(shown, rows):
    from selenium.webdriver.common.keys import Keys

    first = shown.find_element("css selector", ".card")
    run(shown, "arguments[0].focus()", first)
    press = lambda key: shown.switch_to.active_element.send_keys(key)  # noqa: E731
    press(Keys.ARROW_RIGHT)
    press(Keys.ENTER)
    title = "return document.getElementById('detail-title').textContent"
    names = [name.replace("/", " ") for name in expected(rows, lambda a, b: True)]
    assert run(shown, title) == names[1]
    press(Keys.ARROW_RIGHT)
    press(Keys.ARROW_RIGHT)
    press(Keys.ARROW_LEFT)
    assert run(shown, title) == names[2]
    press(Keys.ESCAPE)
    wait_for(shown, "return document.activeElement.closest('li')?.dataset.place === '2'")
    assert not run(shown, "return document.getElementById('detail').open")
    press(Keys.END)
    wait_for(shown, "return document.activeElement.closest('li')?.dataset.place === '1999'")
    press(Keys.HOME)
    wait_for(shown, "return document.activeElement.closest('li')?.dataset.place === '0'")
    drawn = "return getComputedStyle(document.querySelector('.card .over')).display"
    assert run(shown, drawn) != "none"
    press("b")
    assert run(shown, drawn) == "none"
    assert not run(shown, "return document.getElementById('boxes').checked")
    press("b")
    bar = shown.find_element("css selector", ".bin")
    run(shown, "arguments[0].focus()", bar)
    press(Keys.ARROW_RIGHT)
    press(Keys.ENTER)
    assert "of 2,000" in run(shown, "return document.getElementById('count').textContent")


def test_everything_has_a_name(shown):
    fields = "button, select, input, [role=button], [role=toolbar]"
    nameless = run(
        shown,
        "return [...document.querySelectorAll(arguments[0])].filter(n => !(n.ariaLabel"
        " || n.textContent.trim() || n.labels?.length)).map(n => n.outerHTML)",
        fields,
    )
    assert nameless == []
    assert run(shown, "return document.documentElement.lang") == "en"
    places = run(
        shown,
        "return [...document.querySelectorAll('#sheet li')].map(l => Number(l.dataset.place))",
    )
    assert places == sorted(places), "for readers of the screen they stand in order"


def test_a_picture_that_is_gone_says_so(browser, page, tmp_path):
    alone = tmp_path / "index.html"
    alone.write_bytes(page.read_bytes())
    browser.get(alone.as_uri())
    wait_for(
        browser, "return document.querySelector('.card').innerText.includes('picture is missing')"
    )
    browser.get_log("browser")


def test_how_fast_it_is(browser, page):
    """Print what opening and filtering take; a busy machine decides nothing."""
    browser.get(page.as_uri())
    opened = run(browser, "return performance.getEntriesByType('navigation')[0].loadEventEnd")
    took = run(
        browser,
        "const took = [], field = document.getElementById('text');"
        "for (const text of ['P', 'P0', 'P01', 'P012', '', 'lesion 3']) {"
        "  const start = performance.now();"
        "  field.value = text;"
        "  field.dispatchEvent(new Event('input'));"
        "  document.body.offsetHeight;"
        "  took.push(performance.now() - start);"
        "} return took",
    )
    size = page.stat().st_size / 2**20
    print(
        f"\n{COUNT} rows ({size:.2f} MiB) open in {opened:.0f} ms, a letter in {max(took):.0f} ms"
    )
    assert opened > 0


def test_the_page_holds_only_its_own_programs(page):
    text = page.read_text(encoding="utf-8")
    assert text.count("<script") == 4 and text.count("</script>") == 4
    assert html.escape("<img") not in text and EVIL not in text
    for word in ("http://127", "https://", "missing.png", str(page.parent)):
        assert word not in text
