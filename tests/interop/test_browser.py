"""The browser that other tests drive sees what they rely on it to see."""

from __future__ import annotations

from pathlib import Path

from .browser import Browser


def test_a_page(browser: Browser, tmp_path: Path) -> None:
    document = tmp_path / "page.html"
    document.write_text(
        "<title>one</title><button onclick='this.textContent = 2'>1</button><input>"
        "<script>console.error('out', 7); setTimeout(() => nothing.there)</script><img src='gone.png'>"
        "<style>body { color: red } @media (prefers-color-scheme: dark) { body { color: blue } }</style>"
    )
    page = browser.page(width=701, height=503)
    page.open(document)
    assert page.evaluate("[document.title, innerWidth, innerHeight]") == ["one", 701, 503]
    page.click("button")
    assert page.wait("document.querySelector('button').textContent == '2'")
    page.click("input")
    page.type("</x>")
    assert page.evaluate("document.querySelector('input').value") == "</x>"
    colour = "getComputedStyle(document.body).color"
    assert page.evaluate(colour) == "rgb(255, 0, 0)"
    page.prefer("dark")
    assert page.evaluate(colour) == "rgb(0, 0, 255)"
    assert page.requests == [document.as_uri(), (tmp_path / "gone.png").as_uri()]
    assert [error for error in page.errors if "out 7" in error or "nothing" in error or "FILE" in error]
    assert len(page.errors) == 3
    assert page.screenshot(tmp_path / "shot.png").read_bytes().startswith(b"\x89PNG")
