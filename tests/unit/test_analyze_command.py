"""The command line of `analyze`: what it prints, in each format, and what it refuses."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from funcsnoop import schemas
from funcsnoop.cli.exports import FORMATS
from funcsnoop.cli.present import fenced
from funcsnoop.schemas.summary import Summary

from .traces import Recording, function

LONG = "std::vector<std::pair<int, std::string>>::_M_realloc_insert<std::pair<int, std::string> >(int)"
TABLES = {
    "latency": "LATENCY",
    "callgraph": "CALLGRAPH",
    "args": "ARGS",
    "calls": "CALLS",
    "threads": "THREADS",
}
FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")
MACHINE_FORMATS = ("json", "ndjson", "csv", "parquet", "markdown")
Run = Callable[..., Any]


def demo() -> Recording:
    recording = Recording(
        functions=["main", "parse", function(3, "_Zlong", demangled=LONG), "evil\x1b[31m\n"]
    )
    recording.entry("main", 2_000, 5000, 3)
    now = 3_000
    for place in range(80):
        recording.entry("parse", now, 4000, place % 2, 7 + place)
        recording.entry("_Zlong", now + 100, 3000).exit("_Zlong", now + 350, 3000, 2**64 - 1)
        now += 1_000 if place % 2 else 5_000
        recording.exit("parse", now, 4000, 2**32 - 2 if place % 4 == 0 else 0)
    recording.entry("evil\x1b[31m\n", now + 10, 4000).exit("evil\x1b[31m\n", now + 1_234_567, 4000)
    recording.exit("main", now + 2_000_000, 5000)
    recording.entry("parse", 4_000, 9000, pid=8).exit("parse", 4_100, 9000, pid=8)
    recording.entry("parse", 5_000, 9000, pid=8)
    return recording


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return demo().write(tmp_path / "trace.parquet")


LEFT_OUT = "left out: 1 open; no events lost"


def test_latency_table(run: Run, trace: Path) -> None:
    done = run("analyze", "latency")
    assert done.status == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split()[:4] == ["FUNCTION", "MODULE", "CALLS", "TOTAL"]
    assert lines[1].startswith("main ")
    assert lines[-1] == LEFT_OUT
    assert LONG in done.stdout  # piped, so nothing is elided
    assert "evil\\x1b[31m\\n" in done.stdout
    assert "\x1b" not in done.stdout


def test_callgraph_is_a_tree(run: Run, trace: Path) -> None:
    lines = run("analyze", "callgraph").stdout.splitlines()
    assert lines == [
        "    %    TOTAL     SELF  CALLS  FUNCTION",
        "100.0  2.24 ms   766 µs      1  main",
        " 55.1  1.23 ms  1.23 ms      1  ├─ evil\\x1b[31m\\n",
        " 10.7   240 µs   220 µs     80  └─ parse",
        "  0.9  20.0 µs  20.0 µs     80     └─ " + LONG,
        "  0.0   100 ns   100 ns      2  parse",
        LEFT_OUT,
    ]


def test_callgraph_without_small_and_deep_branches(run: Run, trace: Path) -> None:
    lines = run("analyze", "callgraph", "--min-percent", "10.8").stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:-2]] == ["main", "evil\\x1b[31m\\n"]
    assert lines[-2:] == ["3 more paths not shown", LEFT_OUT]
    lines = run("analyze", "callgraph", "--depth", "1").stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:-2]] == ["main", "parse"]
    assert lines[-2:] == ["3 more paths not shown", LEFT_OUT]


def test_a_tree_without_room_says_so(run: Run, trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is shown, and only there: edges and latencies lack nothing."""
    from funcsnoop.analyze import engine

    assert "paths cut" not in run("analyze", "callgraph").stdout
    monkeypatch.setattr(engine, "_MOST_PLACES", 2)
    cut = "paths cut: the tree had no room for those of 81 calls, whose time is their callers' own there"
    lines = run("analyze", "callgraph").stdout.splitlines()
    assert lines[-2:] == [cut, LEFT_OUT]
    assert [line.split()[-1] for line in lines[1:-2]] == ["main", "parse", "parse"]
    assert run("analyze", "summary").stdout.splitlines()[-2:] == [cut, LEFT_OUT]
    assert cut in run("analyze", "summary", "--format", "markdown").stdout
    for form in ("json", "ndjson"):
        assert run("analyze", "summary", "--format", form).stderr.splitlines() == [cut, LEFT_OUT]
    several = run("analyze", "summary", trace, trace, "--format", "json").stderr
    assert several.splitlines() == [f"{trace}: {line}" for line in (cut, LEFT_OUT)] * 2
    merged = run("analyze", "callgraph", "--merge", trace, trace).stdout
    assert cut.replace("81", "162") in merged
    for form in ("csv", "json"):
        assert "paths cut" not in run("analyze", "callgraph", "--format", form).stderr
    assert "paths cut" not in run("analyze", "latency").stdout
    # Of the pictures of a function the one above it lacks something, and not the one below.
    focus = run("analyze", "callgraph", "--focus", "parse")
    assert cut in focus.stdout
    below = run("analyze", "callgraph", "--function", "parse")
    assert "paths cut" not in below.stdout


def test_callgraph_around_a_function(run: Run, trace: Path) -> None:
    lines = run("analyze", "callgraph", "--focus", "parse").stdout.splitlines()
    assert lines == [
        "    %    TOTAL     SELF  CALLS  FUNCTION",
        "100.0   240 µs              80  ┌─ main",
        "100.0   240 µs   220 µs     82  parse",
        "  8.3  20.0 µs  20.0 µs     80  └─ " + LONG,
        LEFT_OUT,
    ]
    rows = json.loads(run("analyze", "callgraph", "--focus", "parse", "--format", "json").stdout)
    assert {(row["caller"], row["callee"]) for row in rows} == {
        ("main", "parse"),
        (None, "parse"),
        ("parse", LONG),
    }
    lines = run("analyze", "callgraph", "--focus", "_Zlong").stdout.splitlines()
    assert [line.partition("80")[2].strip() for line in lines[1:3]] == ["┌─ main", "┌─ parse"]


def test_callgraph_of_a_function_that_was_not_called(run: Run, tmp_path: Path) -> None:
    Recording().entry("f", 1, 1000).exit("f", 5, 1000).write(tmp_path / "trace.parquet")
    done = run("analyze", "callgraph", "--focus", "g")
    assert (done.status, done.stdout.splitlines()[0]) == (0, "g was not called")


def test_summary_tells_the_story(run: Run, trace: Path) -> None:
    done = run("analyze")
    assert done.status == 0, done.stderr
    for text in (
        "./demo --fast",
        "testhost, Linux 6.18.0, x86_64",
        "4 of 4 traced functions called",
        "main → parse",
        "5.00 µs  0      40  1.00 µs  1      40  arg0  parse",
        "  20   24.7%     -2  parse",
        f"  80  100.0%     -1  {LONG}",
    ):
        assert text in done.stdout
    assert done.stdout.splitlines()[-1] == LEFT_OUT


def test_summary_json_has_exactly_the_documented_keys(run: Run, trace: Path) -> None:
    done = run("analyze", "summary", "--format", "json")
    found = json.loads(done.stdout)
    assert list(found) == list(Summary.__annotations__)
    assert found["left_out"] == {"open": 1, "unwound": 0, "lost": 0, "entry_only": 0}
    assert found["hot_paths"][0]["path"] == ["main", "evil\x1b[31m\n"]
    assert found["arguments"][0]["arg"] == "arg0"
    assert found["arguments"][0]["ratio"] == pytest.approx(5)
    assert done.stderr == LEFT_OUT + "\n"


@pytest.mark.parametrize(
    ("report", "form", "traces"),
    [
        *((report, form, 1) for report in TABLES for form in MACHINE_FORMATS),
        *(("latency", form, 2) for form in MACHINE_FORMATS),
        *((report, "parquet", 2) for report in TABLES),
    ],
)
def test_machine_formats_have_exactly_the_columns(
    run: Run, trace: Path, tmp_path: Path, report: str, form: str, traces: int
) -> None:
    schema = getattr(schemas, TABLES[report])
    output = tmp_path / "out"
    done = run("analyze", report, *[trace] * traces, "--format", form, "-o", output)
    assert (done.status, done.stdout) == (0, "")
    assert done.stderr.count(LEFT_OUT) == traces
    columns = [*(["trace", "host"] if traces > 1 else []), *schema.names]
    if form == "parquet":
        table = pq.read_table(output)
        assert table.schema.names == columns
        assert [table.schema.field(name).type for name in schema.names] == schema.types
        rows = table.num_rows
    elif form == "csv":
        found = list(csv.DictReader(io.StringIO(output.read_text())))
        assert list(found[0]) == columns
        rows = len(found)
    elif form == "markdown":
        lines = output.read_text().splitlines()
        assert lines[0] == f"| {' | '.join(columns)} |"
        rows = len(lines) - 2
    else:
        text = output.read_text()
        found = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
        assert {tuple(row) for row in found} == {tuple(columns)}
        rows = len(found)
    counts = {"latency": 4, "callgraph": 5, "args": 7, "calls": 164, "threads": 2}
    assert rows == counts[report] * traces


def test_json_integers_are_exact(run: Run, trace: Path) -> None:
    rows = json.loads(run("analyze", "args", "--format", "json").stdout)
    by_name = {(row["function"], row["arg"]): row for row in rows}
    assert by_name[LONG, "ret_val"]["max"] == 2**64 - 1
    cast = json.loads(run("analyze", "args", "--as", "_Zlong:ret_val=i64", "--format", "json").stdout)
    assert {row["min"] for row in cast if row["function"] == LONG} == {-1}


def test_raw_registers_are_marked(run: Run, trace: Path) -> None:
    lines = run("analyze", "args", "--as", "parse:arg0=bool").stdout.splitlines()
    parse = [line.split()[:3] for line in lines if line.startswith("parse")]
    assert ["parse", "arg0", "bool"] in parse
    assert ["parse", "arg1", "raw"] in parse


@pytest.mark.parametrize("form", ["json", "csv", "ndjson", "table", "markdown"])
@pytest.mark.parametrize("report", ["summary", *TABLES])
def test_empty_traces(run: Run, tmp_path: Path, report: str, form: str) -> None:
    Recording().write(tmp_path / "trace.parquet")
    done = run("analyze", report, "--format", form)
    if (report, form) == ("summary", "csv"):
        assert done.status == 2
        return
    assert done.status == 0, done.stderr
    if form == "json" and report != "summary":
        assert json.loads(done.stdout) == []


def calls(run: Run, *options: str) -> list[dict[str, Any]]:
    done = run("analyze", "calls", "--format", "json", *options)
    assert done.status == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def test_filters_choose_calls_after_pairing(run: Run, trace: Path) -> None:
    everything = calls(run)
    assert {row["name"] for row in calls(run, "--function", "pa*e")} == {"parse"}
    assert len(calls(run, "--function", "parse", "--function", "main")) == 83
    assert {row["pid"] for row in calls(run, "--thread", "8")} == {8}
    assert {row["pid"] for row in calls(run, "--thread", "worker-8")} == {8}
    assert len(calls(run, "--process", "demo")) == len(everything)
    assert len(calls(run, "--process", "7")) == len(everything)
    late = calls(run, "--since", "5us", "--until", "0.00001")
    assert {row["call_id"] for row in late} == {
        row["call_id"] for row in everything if 6_000 <= (row["start"] or row["end"]) < 11_000
    }
    assert all(row["depth"] > 0 for row in late)  # main is left out, and they are still inside it


def test_callgraph_of_a_function_is_what_runs_beneath_it(run: Run, trace: Path) -> None:
    rows = json.loads(run("analyze", "callgraph", "--function", "parse", "--format", "json").stdout)
    assert {(row["caller"], row["callee"]) for row in rows} == {
        ("main", "parse"),
        (None, "parse"),
        ("parse", LONG),
    }
    lines = run("analyze", "callgraph", "--function", "parse").stdout.splitlines()
    assert [line.split()[-1] for line in lines[1:3]] == ["parse", LONG.split()[-1]]


def test_sort_and_top(run: Run, trace: Path) -> None:
    rows = json.loads(run("analyze", "latency", "--sort", "calls", "--top", "2", "--format", "json").stdout)
    assert [row["function"] for row in rows] == ["parse", LONG]
    rows = json.loads(run("analyze", "latency", "--sort", "function", "--format", "json").stdout)
    assert [row["function"] for row in rows] == sorted(row["function"] for row in rows)
    starts = [row["start"] for row in calls(run, "--sort", "start")]
    assert starts == sorted(starts)
    lines = run("analyze", "latency", "--top", "1").stdout.splitlines()
    assert lines[-2] == "first 1 of 4 rows"
    lines = run("analyze", "callgraph", "--top", "2").stdout.splitlines()
    assert len(lines) == 5
    assert lines[-2] == "3 more paths not shown"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["latency", "--sort", "nosuch"], 2, "columns are function, module, calls"),
        (["args", "--sort", "top"], 2, "columns are function, arg"),
        (["--sort", "calls"], 2, "no columns"),
        (["latency", "--format", "xml"], 2, "formats are table, json"),
        (["--format", "csv"], 2, "no table"),
        (["latencey"], 2, "did you mean latency"),
        (["latency", "./latency"], 1, "there is no file ./latency"),
        (["latency", "--function", "nosuch*"], 2, "no function in the trace"),
        (["latency", "--function", "prase"], 2, "near it: parse"),
        (["latency", "--thread", "99"], 2, "ids in the trace: 7, 8"),
        (["latency", "--since", "soon"], 2, "not a duration"),
        (["latency", "--as", "f:arg0=i32"], 2, "it is for args, hist"),
        (["latency", "--focus", "parse"], 2, "it is for callgraph, hist, heatmap"),
        (["hist"], 2, "--focus FUNC"),
        (["heatmap", "--focus", "prase"], 2, "near it: parse"),
        (["hist", "--focus", "parse", "--sort", "calls"], 2, "means nothing to a picture"),
        (["hist", "--focus", "parse", "--arg", "1", "--ret"], 2, "pictures of their own"),
        (["callgraph", "--focus", "prase"], 2, "near it: parse"),
        (["callgraph", "--depth", "2", "--format", "csv"], 2, "for what is drawn"),
        (["args", "--as", "f:arg0"], 2, "write it as FUNC:arg0=i32"),
        (["latency", "--top", "0"], 2, "`funcsnoop analyze --help`"),
        (["latency", "--nosuch"], 2, "no such option: --nosuch"),
        (["latency", "-o", "trace.parquet"], 1, "--force"),
        (["latency", "-o", "no/such/dir"], 1, "cannot be written"),
    ],
)
def test_bad_usage_is_two_lines(
    run: Run, trace: Path, arguments: list[str], status: int, message: str
) -> None:
    before = trace.read_bytes()
    done = run("analyze", *arguments)
    assert done.status == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 2
    assert (done.stdout, trace.read_bytes()) == ("", before)


def test_a_file_named_like_a_report(run: Run, tmp_path: Path) -> None:
    demo().write(tmp_path / "latency")
    done = run("analyze", "./latency")
    assert done.status == 0, done.stderr
    assert "Functions by total time" in done.stdout
    assert run("analyze", "threads", "latency").status == 0


def test_force_replaces_and_an_error_leaves_the_old_file(run: Run, trace: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    output.write_text("old")
    assert run("analyze", "latency", "-o", output, "--format", "csv").status == 1
    assert run("analyze", "latency", "none.parquet", "-o", output, "--force", "--format", "csv").status == 1
    assert output.read_text() == "old"
    assert run("analyze", "latency", "-o", output, "--force", "--format", "csv").status == 0
    assert output.read_text().startswith("function,")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "trace.parquet"]


def test_several_traces_as_tables(run: Run, trace: Path, tmp_path: Path) -> None:
    other = Recording().entry("f", 1, 1).write(tmp_path / "other.parquet")
    lines = run("analyze", "threads", trace, other).stdout.splitlines()
    assert [line for line in lines if line.startswith("==>")] == [
        f"==> {path}, host testhost <==" for path in (trace, other)
    ]


def test_a_reader_that_leaves_early(trace: Path) -> None:
    command = f"{FUNCSNOOP} analyze calls {trace} | head -n 2"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.count("\n") == 2
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


@pytest.mark.parametrize("form", MACHINE_FORMATS)
def test_a_reader_that_leaves_at_any_moment(form: str) -> None:
    """All formats meet the same error then, which `main` knows."""
    ours, theirs = os.pipe()

    def frames() -> Iterator[pl.DataFrame]:
        os.close(ours)
        yield pl.DataFrame({"pid": [7]}, {"pid": pl.UInt32})

    with open(theirs, "wb", buffering=0) as out, pytest.raises(BrokenPipeError):
        FORMATS[form].write(frames(), pa.schema([pa.field("pid", pa.uint32())]), out)


def in_terminal(columns: int, *arguments: str | Path) -> str:
    """What the command prints to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    child = subprocess.Popen([FUNCSNOOP, *arguments], stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    printed = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:
            break
        if not block:
            break
        printed += block
    child.wait(timeout=60)
    os.close(ours)
    return printed.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("report", ["summary", *TABLES])
@pytest.mark.parametrize("columns", [30, 40, 60, 80, 132, 200])
def test_tables_fit_the_terminal(run: Run, trace: Path, report: str, columns: int) -> None:
    text = run("analyze", report, trace, columns=columns, env={"NO_COLOR": "1"}).stdout
    assert max(map(len, text.splitlines())) <= columns
    assert " ".join(text.split()).endswith(LEFT_OUT)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)


def test_where_no_table_fits_rows_are_paragraphs(run: Run, trace: Path) -> None:
    lines = run("analyze", "latency", trace, "--function", "parse", columns=24).stdout.splitlines()
    assert lines[0] == "parse"
    shown = " ".join(" ".join(lines[1:]).split())
    assert "MODULE libdemo.so.1 CALLS 82 " in shown
    figures = run("analyze", "latency", trace, "--function", "parse").stdout.splitlines()
    for title in figures[0].split()[1:]:
        assert f"{title} " in shown


def test_colour_is_for_terminals_that_want_it(run: Run, trace: Path) -> None:
    plain = run("analyze", "callgraph", trace, columns=80, env={"NO_COLOR": "1"}).stdout
    coloured = run("analyze", "callgraph", trace, columns=80, env={"NO_COLOR": "", "TERM": "xterm"}).stdout
    assert "\x1b[31m100.0\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    assert run("analyze", "callgraph", trace, columns=80, env={"TERM": "dumb"}).stdout == plain
    assert "\x1b" not in run("analyze", "callgraph", trace).stdout


def test_names_lose_their_middle(trace: Path) -> None:
    text = in_terminal(80, "analyze", "latency", trace)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" in text
    assert "insert" in text or "(int)" in text


def test_parquet_is_not_for_terminals(run: Run, trace: Path) -> None:
    assert (
        "give a file with -o FILE"
        in run("analyze", "latency", trace, "--format", "parquet", columns=80).stderr
    )


def test_a_code_block_ends_where_it_should() -> None:
    assert fenced("a\n") == "```\na\n```\n"
    assert fenced("````\n") == "`````\n````\n`````\n"
