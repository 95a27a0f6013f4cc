"""`go tool pprof` reads what `export` writes for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import funcsnoop

from ..unit.test_correction import STACKS, nested
from ..unit.test_export import EVIL, RUST, demo, lossy
from .test_export_perfetto import export


def pprof(path: Path, *options: str) -> str:
    go = shutil.which("go")
    if go is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("go is not installed")
    environment = os.environ | {"HOME": str(path.parent), "PPROF_TMPDIR": str(path.parent)}
    command = [go, "tool", "pprof", *options, path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=True)
    return done.stdout


def samples(text: str) -> dict[tuple[str, ...], tuple[int, int]]:
    """What `-raw` lists: the functions, leaf first, and the two values of each sample."""
    section = text[text.index("Samples:") : text.index("Mappings")]
    listed, places = section.split("Locations\n")
    names = dict(re.findall(r"^ +(\d+): 0x\w+ M=\d+ (.*) /\S+:0 s=0", places, re.M))
    found = {}
    for calls, ns, path in re.findall(r"^ +(\d+) +(\d+): ([\d ]+)$", listed, re.M):
        found[tuple(names[number] for number in path.split())] = (int(calls), int(ns))
    return found


def test_samples(tmp_path: Path) -> None:
    recording = demo()
    recording.functions[3] = "evil & co"  # its text is for lines
    recording.rows = [row | {"name": row["name"].replace(EVIL, "evil & co")} for row in recording.rows]
    trace = funcsnoop.open(recording.write(tmp_path / "trace.parquet"))
    text = pprof(export(trace, "pprof"), "-raw")
    assert samples(text) == {
        ("main",): (3, 9_000 - 7 * 500 - 210),
        ("parse", "main"): (7, 7 * 500),
        (RUST, "main"): (1, 210 - 107),
        ("evil & co", RUST, "main"): (1, 107),
        ("parse",): (3, 101),
        ("evil & co", "parse"): (1, 0),
    }
    cumulative = pprof(tmp_path / "trace.pb.gz", "-top", "-cum", "-nodefraction=0")
    assert re.search(r"^ +5290ns .* 9000ns +\S+ +main$", cumulative, re.M)
    assert "Samples:\ncalls/count wall/nanoseconds[dflt]\n" in text
    assert re.search(r"^1: 0x0/0x\w+/0x0 /usr/lib/libdemo.so.1 00c0ffee \[FN\]$", text, re.M)


def test_reports(tmp_path: Path) -> None:
    trace = funcsnoop.open(lossy(demo()).write(tmp_path / "trace.parquet"))
    path = export(trace, "pprof")
    assert "left out: 4 lost; 80 of 108 events lost (74.07%)" in pprof(path, "-comments")
    top = pprof(path, "-top", "-sample_index=calls", "-unit=auto", "-nodefraction=0")
    assert "Type: calls" in top
    assert re.search(r"^ +10 62\.50% .* parse$", top, re.M)
    assert "File: libdemo.so.1" in top


def test_corrected_times(tmp_path: Path) -> None:
    trace = funcsnoop.open(nested().write(tmp_path / "t.parquet"), correct=True)
    path = export(trace, "pprof")
    assert "times: corrected for probes: 0.04 to 0.1 us a call taken off" in pprof(path, "-comments")
    own = {";".join(reversed(stack)): ns for stack, (_, ns) in samples(pprof(path, "-raw")).items()}
    assert own == STACKS
