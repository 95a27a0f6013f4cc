"""Manual pages: made from docs/, complete, and as groff likes them."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from .test_docs import COMMANDS, ROOT

MAN = runpy.run_path(str(ROOT / "scripts/man.py"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("share") / "man" / "man1"
    MAN["write_pages"](ROOT, directory)
    return directory


def shown(page: Path) -> str:
    """The page as a terminal of 80 columns shows it; fails where groff warns."""
    man = shutil.which("man")
    if man is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("man is not installed")
    done = subprocess.run(
        [man, "--warnings", "-E", "UTF-8", "-l", "-Tutf8", page],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ
        | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": "", "GROFF_NO_SGR": "1"},
    )
    assert done.stderr == ""
    return re.sub(r".\x08", "", done.stdout)


def test_there_is_one_for_each_command(pages: Path) -> None:
    names = {f"funcsnoop-{command}.1" for command in COMMANDS}
    assert {path.name for path in pages.iterdir()} == names | {"funcsnoop.1"}
    text = shown(pages / "funcsnoop.1")
    assert all(f"funcsnoop-{command}(1)" in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_page(pages: Path, command: str) -> None:
    text = shown(pages / f"funcsnoop-{command}.1")
    assert text.startswith(f"FUNCSNOOP-{command.upper()}(1)")
    titles = re.findall(r"^[A-Z].*$", text, re.MULTILINE)
    for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "FIELDS", "EXAMPLES", "SEE ALSO"):
        assert titles.count(title) == 1, title
    for option in COMMANDS[command].params:
        for name in (*option.opts, *option.secondary_opts):
            assert not name.startswith("-") or re.search(rf"^ +.*{name}\b", text, re.MULTILINE), name
    # The examples are there to the letter.
    page = (ROOT / "docs" / f"{command}.md").read_text()
    lines = {" ".join(line.split()) for line in text.splitlines()}
    for example in re.findall(r"^\$ .*$", page, re.MULTILINE):
        assert " ".join(example.split()) in lines


def test_markdown() -> None:
    text = """# funcsnoop x

    funcsnoop x [FILE]

What it does, with `a-b` and **`bold` text**, a
[page](y.md) and [another](https://example.org/z).

<!-- help: x -->
```text
```
<!-- end of help -->

| one | two |
| --- | --- |
| `a\\|b` | `\\x3b` |

- an item
  of two lines
- another

1. first

```console
.start 'quoted' \\ --long
```
"""
    help_text = "Usage\n\n  Do x.\n\nOptions:\n  -o, --out FILE  Where to.\n                  [default: y]\n"
    page = MAN["page"]("x", text, help_text, "1.2")
    assert page.splitlines() == [
        '.TH FUNCSNOOP-X 1 "" "funcsnoop 1.2" "User Commands"',
        ".SH NAME",
        "funcsnoop\\-x \\- Do x",
        ".SH SYNOPSIS",
        *(".PP", ".RS 4", ".EX", "funcsnoop x [FILE]", ".EE", ".RE"),
        ".SH DESCRIPTION",
        ".PP",
        "What it does, with \\fBa\\-b\\fR and \\fBbold text\\fR, a page and another (https://example.org/z).",
        *(".TP", "\\fB\\-o, \\-\\-out FILE\\fR", "Where to. [default: y]"),
        *(".TP", "\\fBa|b\\fR", "\\fB\\ex3b\\fR"),
        *(".IP \\(bu 2", "an item of two lines", ".IP \\(bu 2", "another", ".IP 1. 4", "first"),
        *(".PP", ".RS 4", ".EX", "\\&.start 'quoted' \\e \\-\\-long", ".EE", ".RE"),
    ]
