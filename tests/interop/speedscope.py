"""speedscope's own page in a browser: opens a file as its command line does, and tells what it read."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from .browser import Browser, Page

RELEASE = Path(__file__).parents[2] / ".venv/node/node_modules/speedscope/dist/release/index.html"

#: The page's own button saves what it has read as a file of speedscope's own format.
_SAVE = """new Promise((resolve) => {
    const old = URL.createObjectURL;
    URL.createObjectURL = (blob) => {
        resolve(blob.text());
        return old.call(URL, blob);
    };
    const texts = [...document.querySelectorAll("div")].filter((div) => div.innerText.endsWith("Export"));
    texts.at(-1).click();
})"""


def open_in(browser: Browser, path: Path) -> Page:
    """The page with a file open in it."""
    if not RELEASE.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("speedscope is missing: scripts/setup test")
    script = path.with_name(path.name + ".js")
    data = base64.b64encode(path.read_bytes()).decode()
    script.write_text(f"speedscope.loadFileFromBase64({json.dumps(path.name)}, {json.dumps(data)})")
    page = browser.page()
    page.open(f"{RELEASE.as_uri()}#localProfilePath={script}")
    page.wait("document.body.innerText.includes('Export')")
    return page


def read(page: Page) -> dict[str, Any]:
    """The file as speedscope understood it; fails where it complained."""
    # A machine without a graphics card draws slowly, which the page cannot help.
    complaints = [error for error in page.errors if "WebGL" not in error]
    assert not complaints, complaints
    found: dict[str, Any] = json.loads(page.evaluate(_SAVE))
    return found


def calls(profile: dict[str, Any], frames: list[dict[str, Any]]) -> list[tuple[str, float, float, int]]:
    """Name, begin, end and depth of each call of a profile, in order of their begin."""
    found: list[Any] = []
    stack: list[int] = []
    for event in profile["events"]:
        if event["type"] == "O":
            stack.append(len(found))
            found.append([frames[event["frame"]]["name"], event["at"], None, len(stack) - 1])
        else:
            call = found[stack.pop()]
            assert call[0] == frames[event["frame"]]["name"]
            call[2] = event["at"]
    assert not stack
    return [tuple(call) for call in found]
