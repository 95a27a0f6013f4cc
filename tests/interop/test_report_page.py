"""The report in a browser: what it shows, and that its parts work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import funcsnoop

from ..unit.test_correction import nested
from ..unit.traces import Recording, function
from .browser import Browser, Page

HOSTILE = "</script><b>x"
#: Names that differ in the middle only, at the end only, and one that steers.
LONG = "std::vector<" + "very::long::name<int, " * 20 + "{}" + ">::push_back" * 9
NAMES = [
    HOSTILE,
    LONG.format("a"),
    LONG.format("b"),
    "sqlite3_mutex_enter",
    "sqlite3_mutex_leave",
    "a\x1b[31m\u202eb",
]


def shop(**metadata: object) -> Recording:
    """A root that calls all others, more often and longer from the first to the last."""
    names = [function(2 + k, f"f{k}", demangled=name) for k, name in enumerate(NAMES)]
    recording = Recording(functions=["main", *names], metadata=dict(metadata))
    recording.entry("main", 2_000, 5000)
    now = 3_000
    for k in range(len(NAMES)):
        for turn in range(7 + 4 * k):
            recording.entry(f"f{k}", now, 4000, turn % 3, 0x55D0C0DE1000 + 16 * turn)
            recording.exit(f"f{k}", now + 700 * (1 + k) + 50 * (turn % 3), 4000, turn % 2)
            now += 9_000
    recording.entry("f3", now, 3000, pid=8).exit("f3", now + 90_000, 3000, pid=8)
    recording.exit("main", now + 100_000, 5000)
    recording.metadata["ended"] = {
        "monotonic_ns": now + 200_000, "boottime_ns": now + 200_000, "realtime_ns": now + 200_000
    }  # fmt: skip
    return recording


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.page()


def show(page: Page, recording: Recording, tmp_path: Path) -> Path:
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    trace.report().save(tmp_path / "page.html")
    page.open(tmp_path / "page.html")
    return tmp_path / "page.html"


def rows(page: Page) -> list[str]:
    names: list[str] = page.evaluate(
        "[...document.querySelectorAll('#table td .name')].map(e => e.textContent)"
    )
    return names


def test_asks_for_nothing_and_shows_text_as_text(page: Page, tmp_path: Path) -> None:
    path = show(page, shop(), tmp_path)
    page.wait("document.querySelectorAll('#flame g.frame').length")
    assert page.requests == [path.as_uri()]
    assert page.errors == []
    assert page.evaluate("document.querySelectorAll('b').length") == page.evaluate(
        "[...document.querySelectorAll('b')].filter(b => b.textContent != 'x').length"
    )
    names = rows(page)
    assert HOSTILE in names
    assert r"a\x1b[31m\u202eb" in names
    assert len(set(names)) == len(NAMES) + 1
    # It stays what it is when chosen.
    page.evaluate(
        f"[...document.querySelectorAll('#table .name')].find(e => e.textContent == {HOSTILE!r}).click()"
    )
    assert page.evaluate("document.querySelector('#detail h2').textContent") == HOSTILE
    assert page.errors == []


def test_table_sorts_and_searches(page: Page, tmp_path: Path) -> None:
    show(page, shop(), tmp_path)
    by_total = rows(page)
    assert by_total[:2] == ["main", "sqlite3_mutex_enter"]
    page.click("#table th:nth-child(3) button")
    calls = page.evaluate(
        "[...document.querySelectorAll('#table tr td:nth-child(3)')].map(e => +e.textContent)"
    )
    assert calls == sorted(calls, reverse=True) == [27, 23, 20, 15, 11, 7, 1]
    page.click("#table th:nth-child(3) button")
    assert page.evaluate("document.querySelector('#table tr td:nth-child(3)').textContent") == "1"
    page.click("#table th:first-child button")
    assert rows(page) == sorted(rows(page), key=str.lower)
    page.click("#table-search")
    page.type("MUTEX")
    assert sorted(rows(page)) == ["sqlite3_mutex_enter", "sqlite3_mutex_leave"]
    assert page.evaluate("document.querySelector('#table-count').textContent") == "2 of 7"
    page.type("nothing")
    assert "No function has that" in page.evaluate("document.querySelector('#table tbody').textContent")
    assert page.errors == []


def test_flame_graph_zooms_and_searches(page: Page, tmp_path: Path) -> None:
    show(page, shop(), tmp_path)
    frame = (
        "(start => [...document.querySelectorAll('#flame g.frame')]"
        ".find(g => g.querySelector('title').textContent.startsWith(start)))"
    )
    width = f"(start => {frame}(start)?.getBoundingClientRect().width ?? 0)"
    page.wait("document.querySelectorAll('#flame g.frame').length == 9")
    page.wait(
        "[...document.querySelectorAll('#flame .d3-flame-graph-label')].some(e => e.textContent == 'main')"
    )
    whole = page.evaluate(f"{width}('all')")
    assert whole == page.evaluate("document.querySelector('#flame').clientWidth")
    small = page.evaluate(f"{width}('sqlite3_mutex_l')")
    assert 0 < small < whole / 2
    page.evaluate(f"{frame}('sqlite3_mutex_l').dispatchEvent(new MouseEvent('click', {{bubbles: true}}))")
    page.wait(f"{width}('sqlite3_mutex_l') == {whole}")
    assert page.evaluate("document.querySelector('#detail h2').textContent") == "sqlite3_mutex_leave"
    assert "sqlite3_mutex_leave" in page.evaluate("document.querySelector('#flame-frame').textContent")
    page.click("#flame-reset")
    page.wait(f"Math.abs({width}('sqlite3_mutex_l') - {small}) < 1")
    page.click("#flame-search")
    page.type("sqlite3_mutex")
    found = page.evaluate("document.querySelector('#flame-found').textContent")
    assert re.fullmatch(r"3 frames, \d+\.\d% of the time", found)
    lit = "document.querySelectorAll('#flame rect[fill=\"var(--hit)\"]').length"
    assert page.evaluate(lit) == 3
    page.evaluate("document.querySelector('#flame-search').value = ''")
    page.evaluate("document.querySelector('#flame-search').dispatchEvent(new Event('input'))")
    assert page.evaluate(lit) == 0
    assert page.errors == []


@pytest.mark.parametrize("width", [1280, 400])
def test_fits(page: Page, tmp_path: Path, width: int) -> None:
    page.resize(width, 800)
    show(page, shop(), tmp_path)
    page.wait("document.querySelectorAll('#flame g.frame').length")
    page.wait("document.querySelectorAll('#detail svg.chart').length >= 2")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # Nothing scrolls sideways, and the flame graph not at all: it is not deep.
    wide = (
        "[...document.querySelectorAll('*')].filter(e => e.scrollWidth > e.clientWidth + 1"
        " && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)).map(e => e.id || e.className)"
    )
    assert page.evaluate(wide) == []
    assert (
        page.evaluate(
            "document.querySelector('#flame').scrollHeight - document.querySelector('#flame').clientHeight"
        )
        == 0
    )
    # No text sticks out of the page, nor of its picture.
    out = (
        "[...document.querySelectorAll('td, b, p, .name, svg.chart text')]"
        ".map(e => [e, e.getBoundingClientRect()])"
        ".filter(([e, r]) => r.width && (r.right > innerWidth + 1 || r.left < -1))"
        ".map(([e]) => e.textContent)"
    )
    assert page.evaluate(out) == []
    # Labels of frames beside each other differ.
    labels = page.evaluate(
        "[...document.querySelectorAll('#flame .d3-flame-graph-label')]"
        ".filter(e => getComputedStyle(e).display != 'none').map(e => e.textContent)"
    )
    assert len(set(labels)) == len(labels)
    cut = (
        "[...document.querySelectorAll('#table td .name')]"
        ".filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1).length"
    )
    assert page.evaluate(cut) == 0


def test_light_and_dark(page: Page, tmp_path: Path) -> None:
    page.prefer("dark")
    show(page, shop(), tmp_path)
    brightness = (
        "(property => { const [r, g, b] = getComputedStyle(document.body)[property].match(/\\d+/g);"
        " return (+r + +g + +b) / 765; })"
    )
    assert (
        page.evaluate(f"{brightness}('backgroundColor')")
        < 0.2
        < 0.8
        < page.evaluate(f"{brightness}('color')")
    )
    page.click("#theme")
    assert (
        page.evaluate(f"{brightness}('color')")
        < 0.2
        < 0.8
        < page.evaluate(f"{brightness}('backgroundColor')")
    )
    page.click("#theme")
    assert page.evaluate(f"{brightness}('backgroundColor')") < 0.2
    page.prefer("light")
    page.open(tmp_path / "page.html")
    assert page.evaluate(f"{brightness}('color')") < 0.2
    assert page.errors == []


#: The least contrast of text on the page, and that text.
CONTRAST = Path(__file__).with_name("contrast.js").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(page: Page, tmp_path: Path, scheme: str) -> None:
    """By the contrast that WCAG asks for, 4.5 to 1; in frames of every module's colour too."""
    page.prefer(scheme)
    modules = [function(k, f"f{k}", module=f"/lib/lib{k}.so") for k in range(1, 30)]
    recording = Recording(functions=modules)
    recording.metadata["counts"] = {"produced": 71, "recorded": 58, "lost": {"buffer": 13}, "after_limit": 0}
    for k in range(1, 30):
        recording.entry(f"f{k}", 3_000 * k, 1000).exit(f"f{k}", 3_000 * k + 50 * k, 1000)
    show(page, recording, tmp_path)
    page.wait("document.querySelectorAll('#flame g.frame').length == 30")
    least, where = page.evaluate(CONTRAST)
    assert least >= 4.5, where


def test_every_picture_carries_the_loss(page: Page, tmp_path: Path) -> None:
    window = {"pid": 8, "tgid": 7, "start_ns": 50_000, "end_ns": 90_000, "frame": 2**64 - 1, "events": 13}
    counts = {"produced": 190 + 13, "recorded": 190, "lost": {"buffer": 13}, "filtered": {}, "after_limit": 0}
    recording = shop()
    counts = counts | {"recorded": len(recording.rows), "produced": len(recording.rows) + 13}
    recording.metadata |= {"loss_windows": [window], "counts": counts}
    show(page, recording, tmp_path)
    page.click("#table tbody tr:nth-child(2) .name")
    page.wait("document.querySelectorAll('#detail svg.chart').length >= 4")
    marks = page.evaluate("[...document.querySelectorAll('figcaption')].map(e => e.textContent)")
    assert len(marks) == 6
    assert not re.search("null|undefined|NaN", page.evaluate("document.querySelector('main').innerText"))
    assert all(f"⚠ 13 of {counts['produced']} events lost" in mark for mark in marks), marks
    assert page.evaluate("document.querySelector('.tile.bad').textContent").startswith("13events lost")
    # The thread that lost events is marked there, and the other is not.
    marked = "[...document.querySelectorAll('#threads .lane')].map(e => e.querySelectorAll('.lost').length)"
    assert page.evaluate(marked) == [0, 1, 0]
    assert page.errors == []


def test_what_was_left_out_on_purpose(page: Page, tmp_path: Path) -> None:
    recording = shop()
    kept = len(recording.rows)
    counts = {"produced": kept + 1_234, "recorded": kept, "lost": {"buffer": 0}, "after_limit": 0}
    costs = [{"site_class": "emulated", "exit": "return", "call_ns": 1_230.0, "inside_ns": 450.0}]
    recording.metadata |= {"counts": counts | {"filtered": {"min-duration": 1_234}}, "probe_costs": costs}
    show(page, recording, tmp_path)
    marks = page.evaluate("[...document.querySelectorAll('figcaption')].map(e => e.textContent)")
    assert all("no events lost, 1,234 left out by --min-duration" in mark for mark in marks), marks
    text = page.evaluate("document.querySelector('main').innerText")
    for words in (
        "events left out by --min-duration",
        "1,234 events by --min-duration",
        "1.23 µs a call, 450 ns of it",
    ):
        assert words in text
    assert page.errors == []


@pytest.mark.parametrize("kind", ["empty", "open", "entries"])
def test_says_why_there_is_nothing(page: Page, tmp_path: Path, kind: str) -> None:
    recording = Recording(functions=[function(1, "f", exit="none" if kind == "entries" else "return")])
    if kind != "empty":
        recording.entry("f", 10, 1000)
    show(page, recording, tmp_path)
    text = page.evaluate("document.querySelector('main').innerText")
    expected = {
        "empty": ["There are no calls to draw", "No function was called", "No thread made a recorded call"],
        "open": ["No call has both its entry and its exit", "No call of this function is complete", "1 open"],
        "entries": ["Only entries of this function were recorded", "1 entry-only call"],
    }[kind]
    for words in expected:
        assert words in text
    assert page.errors == []


def test_in_the_frame_of_a_notebook(page: Page, tmp_path: Path) -> None:
    trace = funcsnoop.open(shop().write(tmp_path / "t.parquet"))
    (tmp_path / "notebook.html").write_text("<meta charset=utf-8>" + trace.report()._repr_html_())
    page.open(tmp_path / "notebook.html")
    page.wait(
        "document.querySelector('iframe').contentDocument.querySelectorAll('#flame g.frame').length == 9"
    )
    assert page.errors == []


def test_which_times_it_shows_stands_at_the_top(page: Page, tmp_path: Path) -> None:
    path = nested().write(tmp_path / "t.parquet")
    for correct, says in (
        (False, "Times as recorded, with the cost of probes inside"),
        (True, "Times corrected for probes: 0.04 to 0.1 us a call taken off"),
    ):
        funcsnoop.open(path, correct=correct).report().save(tmp_path / "page.html")
        page.open(tmp_path / "page.html")
        assert says in page.evaluate("document.querySelector('#summary').innerText")
