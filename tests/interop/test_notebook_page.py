"""The snippets of docs/notebooks.md run, one after the other, as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "notebooks.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 5


def test_snippets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ..unit.traces import Recording

    recording = Recording(functions=["sqlite3_step", "sqlite3_free"])
    for start in range(2_000, 300_000, 1_000):
        recording.entry("sqlite3_step", start, 4096, 0x55D0C0DE1001, start)
        recording.entry("sqlite3_free", start + 100, 4000).exit("sqlite3_free", start + 200, 4000)
        recording.exit("sqlite3_step", start + 500, 4096, 2**64 - 1)
    recording.write(tmp_path / "trace.parquet")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for number, snippet in enumerate(SNIPPETS):
        # The value of a snippet's last expression is what a notebook shows.
        code = re.sub(r"^(?=\(\n|trace\.calls\(\)\.top)", "shown = ", snippet, count=1, flags=re.MULTILINE)
        names.pop("shown", None)
        exec(compile(code, f"{PAGE.name}, snippet {number}", "exec"), names)
        if "shown" in names:
            assert isinstance(names["shown"], pl.DataFrame)
            assert len(names["shown"])
    assert names["trace"].rows == 1192
