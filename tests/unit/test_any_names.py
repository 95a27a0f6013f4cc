"""Every report, of functions, threads and values that nobody would choose: it stays inside its lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from funcsnoop.cli.units import width_of
from funcsnoop.cli.usage import NAMES

from .traces import Recording

Run = Callable[..., Any]

HOSTILE = [
    "",
    "\n\r\t",
    "\x1b]0;title\x07\x1b[2J",
    "漢字かな交じり文の関数名",
    "e\u0301\u0301 combining",
    "\u202egnp.exe",
    "a" * 500,
    "</script><b>",
    "👩‍👩‍👧 family",
    "; | & $(reboot) `id`",
    "│├└─ tree",
    "%s %n {0}",
    "operator[](int)",
    "*",
]
FOCUS = ("callgraph", "hist", "heatmap", "explain")


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    recording = Recording(functions=list(HOSTILE))
    now = 1_000
    for turn in range(23):
        for depth, name in enumerate(HOSTILE):
            recording.entry(name, now, 9000 - 100 * depth, 2**64 - 1 - turn, 2**40 * turn)
            now += 1 + 7 * turn
        for depth, name in reversed(list(enumerate(HOSTILE))):
            recording.exit(name, now, 9000 - 100 * depth, 2**63 + turn)
            now += 1 + 40_000 * (turn % 5 == 0)
    recording.entry(HOSTILE[3], now, 9000)
    threads = [{"pid": 7, "tgid": 7, "name": "\x1b[31m漢字\n", "end_ns": None}]
    recording.metadata = {"threads": threads}
    return recording.write(tmp_path / "trace.parquet")


def options(report: str) -> list[str]:
    return {
        "path": ["--id", "3", "--arg", "1", "--ret"],
        "replay": ["--arg", "0", "--ret"],
        "diff": ["trace.parquet", "trace.parquet"],
    }.get(report, [])


@pytest.mark.parametrize("report", NAMES)
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_reports_keep_to_their_lines(run: Run, trace: Path, report: str, columns: int) -> None:
    for focus in [["--focus", name] for name in HOSTILE[:9]] if report in FOCUS else [[]]:
        done = run("analyze", report, *options(report), *focus, columns=columns, env={"NO_COLOR": "1"})
        assert done.status == 0, done.stderr
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.stdout)
        lines = done.stdout.splitlines()
        # Tables have least widths, and the last lines say what was left out.
        least = {"args": 52, "calls": 60, "summary": 68, "threads": 42}.get(report, 40)
        assert max(map(width_of, lines[:-2])) <= max(columns, least), lines


@pytest.mark.parametrize("report", [name for name in NAMES if name != "summary"])
@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "markdown"])
def test_machine_formats_stay_text(run: Run, trace: Path, report: str, form: str) -> None:
    done = run("analyze", report, *options(report)[:2], "--format", form)
    assert done.status == 0, done.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.stdout)
    if form == "json":
        json.loads(done.stdout)
