"""What the pages show as output comes out, to the letter. UPDATE_DOCS=1 writes it into the pages.

They work on the traces of examples/data, copied to `trace.parquet` and `no_index.parquet`; a terminal has 100
columns.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .test_docs import DOCS, FUNCSNOOP, ROOT

BLOCK = re.compile(r"^```(?:console)?\n(\$ .*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = ROOT / "examples" / "data"


def blocks() -> Iterator[Any]:
    for page in ("analyze", "export"):
        for number, block in enumerate(BLOCK.findall((DOCS / f"{page}.md").read_text()), 1):
            yield pytest.param(DOCS / f"{page}.md", block, id=f"{page}-{number}")


@pytest.fixture
def output(run: Callable[..., Any], tmp_path: Path) -> Callable[[str], str]:
    """output(command): what a terminal shows, standard output first."""
    for source, *names in (("sqlite_small", "sqlite_small", "trace"), ("sqlite_no_index", "no_index")):
        for name in names:
            shutil.copy(EXAMPLES / f"{source}.parquet", tmp_path / f"{name}.parquet")

    def output_(command: str) -> str:
        words = shlex.split(command)
        assert words[0] == "funcsnoop"
        if "|" not in words:
            done = run(*words[1:], columns=100, env={"NO_COLOR": "1"})
            return str(done.stdout + done.stderr)
        environment = os.environ | {"PATH": f"{FUNCSNOOP.parent}:{os.environ['PATH']}"}
        piped = subprocess.run(
            ["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=60
        )
        return piped.stderr + piped.stdout

    return output_


@pytest.mark.parametrize(("page", "block"), list(blocks()))
def test_example(output: Callable[[str], str], page: Path, block: str) -> None:
    commands = re.findall(r"^\$ (.*)$", block, re.MULTILINE)
    found = "".join(f"$ {command}\n{output(command)}" for command in commands)
    if "UPDATE_DOCS" in os.environ:
        page.write_text(page.read_text().replace(block, found))
    else:
        assert found == block, "bring it up to date with UPDATE_DOCS=1"
