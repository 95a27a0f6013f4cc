"""The examples of docs/analyze.md, run: their output is what the page shows. UPDATE_DOCS=1 writes it there.

They read the traces of examples/data.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "analyze.md"
COLUMNS = 100
Run = Callable[..., Any]


def test_examples_print_what_the_page_shows(run: Run, tmp_path: Path) -> None:
    for name, example in (("trace", "sqlite_small"), ("no_index", "sqlite_no_index")):
        shutil.copy(ROOT / f"examples/data/{example}.parquet", tmp_path / f"{name}.parquet")

    def shown(block: re.Match[str]) -> str:
        text = ""
        for line in block[1].splitlines():
            if line.startswith("$ funcsnoop "):
                command = shlex.split(line)[2:]
                env = {"NO_COLOR": "1", "TZ": "UTC"}
                done = run(*command, columns=None if "-o" in command else COLUMNS, env=env)
                assert done.status == 0, done.stderr
                text += f"{line}\n{done.stdout}"
        return f"```\n{text}```\n"

    text = PAGE.read_text()
    found = re.sub(r"(?ms)^```\n(\$ funcsnoop analyze.*?)^```\n", shown, text)
    if "UPDATE_DOCS" in os.environ:
        PAGE.write_text(found)
        text = found
    assert found == text, "bring it up to date with UPDATE_DOCS=1"
