"""Single calls: the slowest, what ran inside them, and threads replayed; against plain Python."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcsnoop
from funcsnoop import schemas
from funcsnoop.analyze import slowest
from funcsnoop.analyze.pairing import pair
from funcsnoop.analyze.tables import functions
from funcsnoop.cli.exports import to_arrow
from funcsnoop.cli.units import width_of

from .traces import Recording
from .trees import PROGRAMS, Call, Node, record

Run = Callable[..., Any]
NO_LOSS = "left out: nothing; no events lost"


def batches(paired: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    registers = [pl.lit(None, pl.UInt64).alias(name) for name in (*(f"arg{i}" for i in range(6)), "ret_val")]
    yield from paired.collect().with_columns(registers).select(slowest.NEEDS).iter_slices(rows)


def inside(calls: list[Call], place: int) -> list[Call]:
    """The calls that ran inside one, however deep."""
    found = []
    for call in calls[place + 1 :]:
        if call.depth <= calls[place].depth:
            break
        found.append(call)
    return found


@settings(deadline=None, max_examples=100)
@given(PROGRAMS, st.integers(0, 2**32), st.integers(1, 5), st.integers(1, 7), st.sampled_from(slowest.ORDERS))
def test_slowest_calls_against_plain_python(
    program: list[list[Node]], seed: int, count: int, rows: int, by: str
) -> None:
    recording, tables, _ = record(program, random.Random(seed))
    about = recording.about()
    paired = pair(recording.frame(), about)
    names = [f["demangled"] for f in recording.table()]
    every = [(calls, place) for calls in tables for place in range(len(calls))]

    def took(call: Call) -> int:
        return call.end - call.start if by == "duration_ns" else call.self_ns

    order = sorted(range(len(every)), key=lambda i: (-took(every[i][0][every[i][1]]), i))[:count]
    ids = slowest.longest(batches(paired, rows), count, by)
    assert ids == order
    found = slowest.describe(batches(paired, rows), ids, functions(about).lazy(), about).collect()
    assert found.columns == schemas.SLOWEST.names
    to_arrow(found, schemas.SLOWEST)
    for row, number in zip(found.iter_rows(named=True), order, strict=True):
        calls, place = every[number]
        call = calls[place]
        assert (row["start"], row["end"], row["self_ns"]) == (call.start, call.end, call.self_ns)
        callers = []
        above = call.parent
        while above is not None:
            callers.append(names[calls[above].function])
            above = calls[above].parent
        assert row["callers"] == callers[::-1]
        within = inside(calls, place)
        assert row["self_ns"] + sum(part["self_ns"] for part in row["inside"]) == row["duration_ns"]
        assert sum((Counter({p["function"]: p["calls"]}) for p in row["inside"]), Counter()) == Counter(
            names[other.function] for other in within
        )
        whole = pl.concat(slowest.subtree(batches(paired, rows), number))
        assert whole["call_id"].to_list() == list(range(number, number + 1 + len(within)))


def nested() -> Recording:
    """main calls load, which calls read twice; then parse, which never ends. Thread 8 calls read."""
    recording = Recording(functions=["main", "load", "read", "parse(int)", "evil\x1b[31m\n"])
    recording.entry("main", 2_000, 5000, 3).entry("load", 3_000, 4000, 5)
    recording.entry("read", 4_000, 3000, 1, 2**64 - 1).exit("read", 1_504_000, 3000, 2**32 - 11)
    recording.entry("read", 1_600_000, 3000, 2, 0).exit("read", 1_604_000, 3000, 64)
    recording.exit("load", 1_700_000, 4000, 0x7FFE_1234_5678)
    recording.entry("parse(int)", 1_800_000, 4000, 7).entry("evil\x1b[31m\n", 1_850_000, 3000)
    recording.exit("evil\x1b[31m\n", 1_850_100, 3000).exit("main", 203_000_000, 5000, 0)
    recording.entry("read", 2_500, 9000, pid=8).exit("read", 2_600, 9000, pid=8)
    recording.exit("load", 2_700, 9500, pid=8)
    return recording


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return nested().write(tmp_path / "trace.parquet")


def test_slowest(run: Run, trace: Path) -> None:
    lines = run("analyze", "slowest", "--top", "3").stdout.splitlines()
    assert lines == [
        "  203 ms  main(3) = 0",
        "          call 0 at 0.000001 s in thread 7 worker-7",
        "           99.2 %    201 ms  itself",
        "            0.7 %   1.50 ms  read ×2",
        "            0.1 %    193 µs  load ×1",
        "            0.0 %    100 ns  evil\\x1b[31m\\n ×1",
        "            0.0 %      0 ns  1 other function",
        "",
        " 1.70 ms  load(5) = 0x7ffe12345678",
        "          call 1 at 0.000002 s in thread 7 worker-7",
        "          called by main",
        "           88.6 %   1.50 ms  read ×2",
        "           11.4 %    193 µs  itself",
        "",
        " 1.50 ms  read(1, 0xffffffffffffffff) = -11",
        "          call 2 at 0.000003 s in thread 7 worker-7",
        "          called by main → load",
        "",
        "slowest 3 of 6 complete calls",
        "left out: 1 open, 1 unwound; no events lost",
    ]


def test_slowest_of_a_function(run: Run, trace: Path) -> None:
    shown = ("--arg", "1", "--ret", "--as", "read:arg1=i32", "--as", "read:ret_val=i64")
    lines = run("analyze", "slowest", "--focus", "read", *shown).stdout.splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines if "read(" in line] == [
        "read(-1) = 4294967285",
        "read(0) = 64",
        "read() = 0",
    ]
    rows = json.loads(run("analyze", "slowest", "--sort", "self_ns", "--top", "2", "--format", "json").stdout)
    assert [row["function"] for row in rows] == ["main", "read"]
    assert run("analyze", "slowest", "--focus", "parse").stdout.splitlines() == [
        "no complete call",
        "left out: 1 unwound; no events lost",
    ]


def test_replay(run: Run, trace: Path) -> None:
    lines = run("analyze", "replay").stdout.splitlines()
    assert lines == [
        " START (s)  DURATION  CALL",
        "thread 7 worker-7",
        "  0.000001            main() {",
        "  0.000002              load() {",
        "  0.000003   1.50 ms      read();",
        "  0.001599   4.00 µs      read();",
        "             1.70 ms    } /* load */",
        "  0.001799              parse(int) {",
        "  0.001849    100 ns      evil\\x1b[31m\\n();",
        "                   -    } /* parse(int), unwound */",
        "              203 ms  } /* main */",
        "thread 8 worker-8",
        "  0.000002    100 ns  read();",
        "         -         -  load(); /* open, entry not seen */",
        "left out: 1 open, 1 unwound; no events lost",
    ]
    lines = run("analyze", "replay", "--thread", "8", "--ret", "--arg", "0").stdout.splitlines()
    assert lines[1:3] == ["thread 8 worker-8", "  0.000002    100 ns  read() = 0;"]
    lines = run("analyze", "replay", "--depth", "2", "--thread", "7", "--ret").stdout.splitlines()
    assert lines[2:-1] == [
        "  0.000001            main() {",
        "  0.000002   1.70 ms    load() = 0x7ffe12345678; /* 2 calls inside */",
        "  0.001799         -    parse(int); /* unwound, 1 call inside */",
        "              203 ms  } = 0; /* main */",
    ]


def test_path(run: Run, trace: Path) -> None:
    lines = run("analyze", "path", "--id", "1").stdout.splitlines()
    assert lines[0] == " 1.70 ms  load(5) = 0x7ffe12345678"
    assert lines[5:] == [
        "",
        " START (s)  DURATION  CALL",
        "  0.000002            load() {",
        "  0.000003   1.50 ms    read();",
        "  0.001599   4.00 µs    read();",
        "             1.70 ms  } /* load */",
        "left out: 1 open, 1 unwound; no events lost",
    ]
    rows = json.loads(run("analyze", "path", "--id", "1", "--format", "json").stdout)
    assert [row["call_id"] for row in rows] == [1, 2, 3]
    assert run("analyze", "path", "--id", "4").stdout.splitlines()[-2].split() == [
        "-",
        "}",
        "/*",
        "parse(int),",
        "unwound",
        "*/",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["path"], "needs --id"),
        (["path", "--id", "99"], "there is no call 99"),
        (["path", "--id", "1", "--thread", "7"], "apart"),
        (["replay", "--function", "read"], "apart"),
        (["replay", "--thread", "9"], "ids in the trace: 7, 8"),
        (["slowest", "--sort", "start"], "columns are duration_ns, self_ns"),
        (["slowest", "--as", "nosuch:arg0=i8"], "matches no function"),
        (["slowest", "--id", "1"], "it is for path"),
        (["replay", "--depth", "2", "--format", "csv"], "for what is drawn"),
    ],
)
def test_bad_usage(run: Run, trace: Path, arguments: list[str], message: str) -> None:
    done = run("analyze", *arguments)
    assert done.status == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 2


def test_lost_events_show_where_they_are_missing(run: Run, tmp_path: Path) -> None:
    recording = nested()
    window = {"pid": 7, "tgid": 7, "start_ns": 1_510_000, "end_ns": 1_590_000, "frame": 3000, "events": 2}
    counts = {"produced": 16, "recorded": 14, "lost": {"buffer": 2}, "filtered": {}, "after_limit": 0}
    recording.metadata = {"loss_windows": [window], "counts": counts | {"recorded": len(recording.rows)}}
    recording.write(tmp_path / "trace.parquet")
    lines = run("analyze", "replay", "--thread", "7").stdout.splitlines()
    assert lines[5] == "                          /* 2 events lost about here */"
    text = run("analyze", "slowest", "--focus", "load").stdout
    assert "events were lost while it ran" in text
    assert "events were lost while it ran" not in run("analyze", "slowest", "--focus", "evil*").stdout


def test_long_replays_end_on_terminals_only(run: Run, tmp_path: Path) -> None:
    recording = Recording()
    for place in range(1_013):
        recording.entry("f", 10 * place, 1000).exit("f", 10 * place + 5, 1000)
    recording.write(tmp_path / "trace.parquet")
    assert run("analyze", "replay").stdout.count(" f();") == 1_013
    shown = run("analyze", "replay", columns=80, env={"NO_COLOR": "1"}).stdout
    assert shown.count(" f();") == 1_000
    assert "first 1,000 calls (--top N shows more, a pipe or file has all)\n" in shown
    assert run("analyze", "replay", "--top", "7").stdout.count(" f();") == 7
    rows = json.loads(run("analyze", "replay", "--top", "7", "--format", "json").stdout)
    assert len(rows) == 7


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("report", ["slowest", "replay", "path"])
def test_they_fit_the_terminal(run: Run, trace: Path, report: str, columns: int) -> None:
    options = ["--id", "0"] if report == "path" else []
    shown = run("analyze", report, *options, columns=columns, env={"NO_COLOR": "1"}).stdout
    assert max(map(width_of, shown.splitlines()[:-1])) <= columns
    coloured = run("analyze", report, *options, columns=columns, env={"TERM": "xterm"}).stdout
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == shown


def test_deep_recursion_stays_readable(run: Run, tmp_path: Path) -> None:
    recording = Recording()
    for level in range(311):
        recording.entry("f", level, 10**6 - 16 * level)
    for level in reversed(range(311)):
        recording.exit("f", 1000 - level, 10**6 - 16 * level)
    recording.write(tmp_path / "trace.parquet")
    shown = run("analyze", "replay", columns=80, env={"NO_COLOR": "1"}).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("f() {") == 310
    text = run("analyze", "path", "--id", "310").stdout
    assert "called by f → f" in text


def test_tables_for_notebooks(trace: Path) -> None:
    opened = funcsnoop.open(trace)
    found = opened.slowest(2, "read").collect()
    assert to_arrow(found, schemas.SLOWEST).schema.equals(schemas.SLOWEST)
    assert found["callers"].to_list() == [["main", "load"]] * 2
    assert opened.subtree(1).collect()["call_id"].to_list() == [1, 2, 3]
    with pytest.raises(funcsnoop.FuncsnoopError, match="no call 999"):
        opened.subtree(999)
