"""`funcsnoop export`: what holds for every format, and what each of them says."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from funcsnoop.analyze.export import FORMATS, Source
from funcsnoop.analyze.selection import Selection
from funcsnoop.analyze.trace import Trace
from funcsnoop.cli import export as command

from .traces import Recording, function

Run = Callable[..., Any]
RUST = "<[u8; 32] as core::fmt::Debug>::fmt"
EVIL = 'evil";\x1b[31m\n</script>\\ \u202e'


def lossy(recording: Recording) -> Recording:
    """The same, with 80 events lost."""
    rows = len(recording.rows)
    lost = {"buffer": 80}
    counts = {"produced": rows + 80, "recorded": rows, "lost": lost, "filtered": {}, "after_limit": 0}
    recording.metadata["counts"] = counts
    return recording


def demo() -> Recording:
    """Two processes, three threads; calls of every status; names that no format is ready for."""
    recording = Recording(functions=["main", "parse", function(3, "_ZRust", demangled=RUST), EVIL])
    recording.entry("main", 2_000, 5000, 3, 2**63 + 1)
    for now in range(3_000, 10_000, 1_000):
        recording.entry("parse", now, 4000, now).exit("parse", now + 500, 4000, 2**64 - 1)
    recording.entry("_ZRust", 10_000, 4000).entry(EVIL, 10_100, 3000).exit(EVIL, 10_207, 3000)
    recording.exit("_ZRust", 10_210, 4000)
    recording.exit("main", 11_000, 5000)
    recording.entry("main", 12_000, 5000)  # open
    recording.entry("parse", 4_000, 9000, pid=8).entry(EVIL, 4_100, 8000, pid=8)  # unwound
    recording.entry("parse", 6_000, 9000, pid=8).exit("parse", 6_100, 9000, pid=8)
    recording.exit("main", 5_000, 9000, pid=9, tgid=9)
    recording.entry("parse", 5_001, 9000, pid=9, tgid=9).exit("parse", 5_002, 9000, pid=9, tgid=9)
    return recording


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return demo().write(tmp_path / "trace.parquet")


def test_the_help_names_the_formats() -> None:
    assert tuple(FORMATS) == command.NAMES


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_beside_the_trace(run: Run, trace: Path, name: str) -> None:
    done = run("export", trace, "--to", name)
    path = trace.with_name("trace" + FORMATS[name].suffix)
    assert (done.status, done.stdout) == (0, "")
    first, *_, last = done.stderr.splitlines()
    assert first.startswith(f"funcsnoop: 16 calls -> {path} (")
    how = "drawn as far as known" if FORMATS[name].drawn else "left out"
    assert last == f"{how}: 2 open, 2 unwound; no events lost"
    before = path.read_bytes()
    done = run("export", trace, "--to", name)
    assert (done.status, done.stderr.splitlines()) == (
        1,
        [f"funcsnoop: {path} exists", "  give another name, or --force to replace it"],
    )
    assert run("export", trace, "--to", name, "--force").status == 0
    assert path.read_bytes() == before
    assert sorted(trace.parent.iterdir()) == sorted([path, trace])


@pytest.mark.parametrize("name", FORMATS)
def test_loss_is_told(run: Run, tmp_path: Path, name: str) -> None:
    path = lossy(demo()).write(tmp_path / "trace.parquet")
    done = run("export", path, "--to", name, "-o", "out")
    assert done.stderr.splitlines()[-1].endswith("; 80 of 108 events lost (74.07%)")


@pytest.mark.parametrize("name", FORMATS)
def test_filters_leave_nothing(run: Run, trace: Path, name: str) -> None:
    done = run("export", trace, "--to", name, "--since", "1s")
    assert done.status == 2
    assert done.stderr.startswith(f"funcsnoop: no call of {trace} is chosen\n")
    assert list(trace.parent.iterdir()) == [trace]


@pytest.mark.parametrize("name", FORMATS)
def test_a_trace_that_is_not_finished(run: Run, trace: Path, name: str) -> None:
    assert command._beside(Path("a/x.parquet.partial"), FORMATS[name].suffix) == Path(
        "a/x" + FORMATS[name].suffix
    )


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_trace_leaves_no_file(run: Run, trace: Path, name: str) -> None:
    pages = pq.read_metadata(trace).row_group(0).column(4)
    raw = bytearray(trace.read_bytes())
    raw[pages.data_page_offset + pages.total_compressed_size - 1] ^= 0xFF
    trace.write_bytes(raw)
    assert run("export", trace, "--to", name).status == 1
    assert list(trace.parent.iterdir()) == [trace]


def test_usage_errors(run: Run, trace: Path) -> None:
    for arguments, words in (
        (["--to", "svg"], "there is no format 'svg'"),
        (["--to", "folded", "--weight", "bytes"], "there is no weight 'bytes'"),
        (["--to", "speedscope", "--weight", "calls"], "--weight means nothing to speedscope"),
        (["--to", "folded", "--function", "prase"], "no function in the trace matches 'prase'"),
        (["--to", "folded", "--thread", "77"], "no thread '77' in the trace"),
    ):
        done = run("export", trace, *arguments)
        assert done.status == 2
        assert done.stderr.startswith(f"funcsnoop: {words}\n  ")


def test_a_device_is_written_to_and_stays(run: Run, trace: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run("export", trace, "--to", "folded", "-o", pipe).status == 0
        assert os.read(reader, 1 << 16).startswith(b"main ")
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def folded(run: Run, trace: Path, *options: str) -> dict[str, int]:
    done = run("export", trace, "--to", "folded", "-o", "-", *options)
    assert done.status == 0, done.stderr
    lines = [line.rpartition(" ") for line in done.stdout.splitlines()]
    assert len({stack for stack, _, _ in lines}) == len(lines)
    return {stack: int(weight) for stack, _, weight in lines}


def test_folded(run: Run, trace: Path) -> None:
    rust = RUST.replace(";", "\\x3b")
    evil = 'evil"\\x3b\\x1b[31m\\n</script>\\ \\u202e'
    assert folded(run, trace) == {
        "main": 9_000 - 7 * 500 - 210,
        "main;parse": 7 * 500,
        f"main;{rust}": 210 - 107,
        f"main;{rust};{evil}": 107,
        "parse": 101,
    }
    assert folded(run, trace, "--weight", "calls") == {
        "main": 3,
        "main;parse": 7,
        f"main;{rust}": 1,
        f"main;{rust};{evil}": 1,
        "parse": 3,
        f"parse;{evil}": 1,
    }


def test_filters(run: Run, trace: Path) -> None:
    rust = RUST.replace(";", "\\x3b")
    evil = 'evil"\\x3b\\x1b[31m\\n</script>\\ \\u202e'
    calls = ("--weight", "calls")
    assert folded(run, trace, *calls, "--function", "_ZRust") == {rust: 1, f"{rust};{evil}": 1}
    # The recording began at 1,000 ns.
    assert folded(run, trace, *calls, "--since", "6us", "--until", "9.1us", "--process", "7") == {
        "parse": 3,
        rust: 1,
    }
    assert folded(run, trace, *calls, "--thread", "worker-8") == {"parse": 2, f"parse;{evil}": 1}
    assert folded(run, trace, "--process", "9") == {"parse": 1}


def test_deep_recursion_is_cut(run: Run, tmp_path: Path) -> None:
    recording = Recording()
    for depth in range(1_009):
        recording.entry("f", 2_000 + depth, 50_000 - 16 * depth)
    for depth in reversed(range(1_009)):
        recording.exit("f", 4_018 - depth, 50_000 - 16 * depth)
    trace = recording.write(tmp_path / "trace.parquet")
    done = run("export", trace, "--to", "folded", "-o", "out", "--weight", "calls")
    lines = (tmp_path / "out").read_text().splitlines()
    assert Counter(line.count("f") for line in lines) == dict.fromkeys(range(1, 1_001), 1)
    assert lines[-1].endswith(";f 10")
    assert "notice: 9 calls are deeper than 1,000 others" in done.stderr


def test_speedscope(run: Run, tmp_path: Path) -> None:
    recording = demo()
    # A coroutine: the call outlasts the one that it began in.
    recording.entry("main", 7_000, 9000, pid=8).entry("parse", 7_100, 1000, pid=8)
    recording.exit("main", 7_200, 9000, pid=8).exit("parse", 7_300, 1000, pid=8)
    trace = lossy(recording).write(tmp_path / "trace.parquet")
    assert run("export", trace, "--to", "speedscope").status == 0
    found = json.loads((tmp_path / "trace.speedscope.json").read_text())
    frames = [frame["name"] for frame in found["shared"]["frames"]]
    assert frames == ["main", "parse", RUST, EVIL]
    assert found["name"] == ("trace.parquet – drawn as far as known: 4 lost; 80 of 112 events lost (71.43%)")
    shown = {
        profile["name"].removesuffix(" – 80 of 112 events lost"): [
            f"{event['type']}{frames[event['frame']][0]}{event['at']}" for event in profile["events"]
        ]
        for profile in found["profiles"]
    }
    assert list(shown) == [
        "demo 7, worker-7 7",
        "demo 7, worker-8 8",
        "demo 7, worker-8 8 (stack 2)",
        "demo 9, worker-9 9",
    ]
    assert shown["demo 7, worker-7 7"][:3] == ["Om1000", "Op2000", "Cp2500"]
    assert shown["demo 7, worker-7 7"][-2:] == ["Om11000", "Cm11001"]  # it may have ended unseen
    assert shown["demo 7, worker-8 8"] == (
        ["Op3000", "Oe3100", "Ce3101", "Cp3101", "Op5000", "Cp5100", "Om6000", "Cm6200"]
    )
    assert shown["demo 7, worker-8 8 (stack 2)"] == ["Op6100", "Cp6300"]
    assert shown["demo 9, worker-9 9"] == ["Om4000", "Cm4000", "Op4001", "Cp4002"]
    assert found["activeProfileIndex"] == 0
    for profile in found["profiles"]:
        assert profile["startValue"] == profile["events"][0]["at"]
        assert profile["endValue"] == profile["events"][-1]["at"]
        assert (profile["type"], profile["unit"]) == ("evented", "nanoseconds")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("selection", [Selection(), Selection().of_threads([8])], ids=["all", "some"])
def test_progress(trace: Path, name: str, selection: Selection) -> None:
    opened = Trace(trace)
    told: list[tuple[int, int]] = []
    FORMATS[name].write(Source(opened, selection, progress=lambda *step: told.append(step)), io.BytesIO())
    assert told
    assert all(0 < done <= opened.rows == of for done, of in told)
    assert told == sorted(told)
