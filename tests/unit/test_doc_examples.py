"""What the pages show as output comes out: of commands that record nothing.

They work on the traces of examples/data, copied to `trace.parquet` and
`no_index.parquet`, and on built programs.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ..conftest import Build
from ..pages import ROOT, blocks, compare, shown

EXAMPLES = ROOT / "examples" / "data"


@pytest.fixture
def place(tmp_path: Path, build: Build) -> Path:
    """A directory with what the examples work on."""
    for source, *names in (("sqlite_small", "sqlite_small", "trace"), ("sqlite_no_index", "no_index")):
        for name in names:
            shutil.copy(EXAMPLES / f"{source}.parquet", tmp_path / f"{name}.parquet")
    for source in ("server.c", "shapes.cc"):
        shutil.copy(build(source, "-O2"), tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "block"), list(blocks("analyze", "export")))
def test_traces(place: Path, page: Path, block: str) -> None:
    if "$ go " in block and shutil.which("go") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("go is not installed")
    compare(page, block, shown(block, place), exact=True)


@pytest.mark.parametrize(("page", "block"), list(blocks("list", "report")))
def test_files(place: Path, page: Path, block: str) -> None:
    compare(
        page,
        block,
        shown(block, place),
        # Which code an IFUNC stands for is the processor's choice.
        (r"__memchr_\w+", "__memchr_X"),
        (r'("(?:address|offset|size|site|return_site)"): \d+', r"\1: N"),
    )
