"""What the pages show as output comes out: of commands that record, on this kernel."""

from __future__ import annotations

import ctypes
import re
import shutil
from pathlib import Path

import pytest

from ..conftest import Build
from ..pages import ROOT, blocks, compare, shown

#: A summary is a line of it, whatever its figures are.
COLUMNS = 120
#: What depends on how fast the machine is.
MOMENTS = (
    (r"\b\d[\d,.]*\b", "N"),
    (r"; at least N of them", ""),
    (r"left out: .*", "left out: …"),
)


@pytest.fixture
def place(tmp_path: Path, build: Build) -> Path:
    """A directory with what the examples record."""
    for source, *flags in (("server.c", "-O2"), ("rate.c", "-O1", "-pthread"), ("ticks.c", "-O1")):
        shutil.copy(build(source, *flags), tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


@pytest.mark.parametrize(("page", "block"), list(blocks("record")))
def test_record(place: Path, page: Path, block: str) -> None:
    # Someone else maps the library: this process.
    ctypes.CDLL("libsqlite3.so.0")
    loose = MOMENTS if "--duration" in block or "--buffer" in block else ()
    always = ((r"[\d,]+ more events", "N more events"), (r"\b\d+\.\d\b", "PER-CENT"))
    compare(page, block, shown(block, place, COLUMNS), *always, *loose)


@pytest.mark.parametrize(("page", "block"), list(blocks("recover", "top")))
def test_others(place: Path, page: Path, block: str) -> None:
    compare(page, block, shown(block, place, COLUMNS), *MOMENTS)


@pytest.mark.parametrize(("page", "block"), list(blocks("doctor")))
def test_doctor(place: Path, page: Path, block: str) -> None:
    nobody = () if "$ sudo " in block else ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    # What is not needed may be there or not.
    machine = ((r"(?m)^ok (tracefs|BTF|kernel headers) .*", r"ok \1"), (r"locked memory .*", "locked memory"))
    compare(page, block, shown(block, place, COLUMNS, nobody), (r"\d[\w.-]*", "N"), *machine)


def test_readme(place: Path) -> None:
    """Its examples after the first are about the trace of the first."""
    page = ROOT / "README.md"
    for example in list(blocks("../README")):
        _, block = example.values
        # Which function takes most time is not always the same.
        varies = (*MOMENTS, (r"(?m)^host .*", "host"), (r"(?m)^TIME .*sqlite3_\w+", "ROW"))
        compare(page, block, shown(block, place, COLUMNS), *varies)
    (place / "example.py").write_text(re.search(r"(?s)```python\n(.*?)```", page.read_text())[1])
    table = re.search(r"(?s)```text\n(shape: .*?)```", page.read_text())[1]
    found = shown("$ python example.py", place).partition("\n")[2]
    compare(page, table, found, (r"\d+\.\d+", "FIGURE"), (r"[─═]+", "─"))
