"""The report: its figures on hand-written events, what it leaves out, and the command."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import funcsnoop
from funcsnoop.analyze.flame import Flame
from funcsnoop.analyze.loglinear import bounds_of
from funcsnoop.analyze.pairing import pair
from funcsnoop.analyze.slices import Slices
from funcsnoop.report import budget
from funcsnoop.report.contents import LANE_SLICES, contents
from funcsnoop.report.gather import BITS
from funcsnoop.report.lanes import Lanes
from funcsnoop.report.rows import STATISTICS

from ..conftest import Finished
from .partials import partial
from .traces import Recording, function

Run = Callable[..., Finished]


def sample() -> Recording:
    """f calls g (100 ns) twice, and h, which never returns; on another thread g alone."""
    recording = Recording()
    recording.entry("f", 10_000, 1000, 5)
    recording.entry("g", 10_100, 900, 1).exit("g", 10_200, 900, 7)
    recording.entry("g", 10_300, 900, 2).exit("g", 10_400, 900, 7)
    recording.exit("f", 11_000, 1000, 9)
    recording.entry("g", 20_000, 800, 3, pid=8).exit("g", 34_000, 800, 7, pid=8)
    recording.entry("h", 20_000, 700)
    return recording


def page_data(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_contents(tmp_path: Path) -> None:
    trace = funcsnoop.open(sample().write(tmp_path / "t.parquet"))
    data = contents(trace, trace.paired, ["since 1s"])
    assert data == json.loads(json.dumps(data))
    assert data["names"] == ["g", "f", "h"]
    assert data["modules"] == ["/usr/lib/libdemo.so.1"]
    assert (data["calls"], data["called"], data["offset"], data["length"]) == (5, 3, 9_000, 24_000)
    assert data["facts"]["selection"] == ["since 1s"]
    assert data["facts"]["duration"] == 899_000
    assert data["loss"]["text"] == "left out: 1 open; no events lost"
    g, f, h = (dict(zip(STATISTICS, row[3:], strict=True)) for row in data["functions"])
    assert (g["calls"], g["total_ns"], g["p50_ns"], g["max_ns"], g["mean_ns"]) == (
        3,
        14_200,
        100,
        14_000,
        4733,
    )
    assert (f["calls"], f["total_ns"], f["self_ns"]) == (1, 1000, 800)
    assert (h["calls"], h["total_ns"], h["open"]) == (1, None, 1)
    # Latencies by bucket: two of 100 ns, one of 14 µs.
    low, high = bounds_of(np.array(data["functions"][0][2][::2]), BITS)
    assert [low[0] <= 100 <= high[0], low[1] <= 14_000 <= high[1]] == [True, True]
    assert data["functions"][0][2][1::2] == [2, 1]
    assert data["functions"][2][2] == []
    bucket = data["functions"][0][2][0]
    assert data["bounds"][str(bucket)] == [int(low[0]), int(high[0])]
    # The flame graph: f with g inside, h without time, g on its own.
    flame = data["flame"]
    paths = {}
    for node, parent in enumerate(flame["parent"]):
        above = "" if parent < 0 else f"{data['names'][flame['function'][parent]]};"
        paths[above + data["names"][flame["function"][node]]] = (flame["calls"][node], flame["own"][node])
    assert paths == {"f": (1, 800), "f;g": (2, 200), "g": (1, 14_000)}
    assert (flame["time"], flame["hidden_ns"], flame["hidden_calls"]) == (15_000, 0, 1)
    # When calls of g began: 100 ns, 300 ns and 10 µs after the first event, in slices of 250 ns.
    heat = dict(data["heat"])
    cells = [heat[0][at : at + 3] for at in range(0, len(heat[0]), 3)]
    assert [(slice_, calls) for slice_, _, calls in cells] == [(0, 1), (1, 1), (40, 1)]
    assert data["edges"] == [
        [-1, 0, 1, 14_000, 14_000],
        [-1, 1, 1, 1000, 800],
        [1, 0, 2, 200, 200],
        [-1, 2, 1, None, None],
    ]
    first, second = data["threads"]
    assert (first["pid"], first["busy"], first["calls"]) == (8, 14_000, 1)
    assert (second["pid"], second["busy"], second["first"], second["last"]) == (7, 1000, 0, 10_000)
    assert sum(first["lane"]) == LANE_SLICES * 14 / 24 * 1000
    g_values = [row for row in data["arguments"] if row[0] == 0 and row[1] == "arg0"]
    assert g_values == [
        [0, "arg0", None, 3, 3, "1", "3", [["1", 1], ["2", 1], ["3", 1]],
         [["1", "1", 1, 100, 100], ["2", "2", 1, 100, 100], ["3", "3", 1, 14_000, 14_000]]]
    ]  # fmt: skip


def test_an_empty_trace(tmp_path: Path) -> None:
    trace = funcsnoop.open(Recording().write(tmp_path / "t.parquet"))
    data = page_data(trace.report().html)
    assert (data["functions"], data["threads"], data["flame"]["time"], data["length"]) == ([], [], 0, 0)


def test_no_text_ends_the_data(tmp_path: Path) -> None:
    name = "</script><b>x"
    recording = Recording(functions=[function(1, "f", demangled=name), "g"])
    recording.metadata["command"] = ["<!--<script>", "\ud800"]
    recording.entry("f", 10, 1000).exit("f", 20, 1000)
    html = funcsnoop.open(recording.write(tmp_path / "t.parquet")).report().html
    assert name not in html
    assert "<title>&lt;!--&lt;script&gt; · funcsnoop</title>" in html
    assert page_data(html)["names"] == [name]
    html.encode()


def test_in_a_notebook(tmp_path: Path) -> None:
    trace = funcsnoop.open(sample().write(tmp_path / "t.parquet"))
    report = trace.report(trace.paired.filter(pl.col("pid") == 8), ["g:arg0=i8"])
    shown = report._repr_html_()
    assert re.fullmatch(r'<iframe srcdoc="[^"]*" title="[^"]*" style="[^"]*"></iframe>', shown)
    data = page_data(report.html)
    assert (data["calls"], data["names"], data["arguments"][0][2]) == (1, ["g"], "i8")
    report.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == report.html


# What fits


def test_fitting_takes_what_matters_most() -> None:
    items = ["aaaa", "bb", "c<", "d"]
    assert budget.fitting(items, 1000) == items
    assert budget.fitting(items, 7 + 5) == ["aaaa", "bb"]  # quotes and commas count
    assert budget.fitting(items, 7 + 5 + 9) == ["aaaa", "bb"]
    assert budget.fitting(items, 7 + 5 + 10) == ["aaaa", "bb", "c<"]  # < takes six bytes
    assert budget.fitting(items, 3) == []


def chains(*paths: tuple[str, int]) -> pl.DataFrame:
    """Calls of a, b … d, nested as the letters stand; the innermost takes the time, the rest none."""
    recording = Recording(functions=list("abcd"))
    now = 10
    for path, took in paths:
        for depth, name in enumerate(path):
            recording.entry(name, now, 1000 - depth)
        now += took
        for depth, name in reversed(list(enumerate(path))):
            recording.exit(name, now, 1000 - depth)
    return pair(recording.frame(), recording.about()).collect()


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_small_paths_are_hidden_where_they_hang(rows: int) -> None:
    flame = Flame(4)
    for part in chains(("ab", 900), ("ac", 7), ("acd", 2), ("d", 91), ("c", 3)).iter_slices(rows):
        flame.add(part)
    tree = flame.tree(most=3, least_share=0.01)
    places = list(zip(tree.parent, tree.function, tree.calls, tree.own, tree.hidden, tree.total, strict=True))
    # c is where the last call was: it stays.
    assert sorted(places) == [
        (-1, 0, 3, 0, 9, 909),
        (-1, 2, 1, 3, 0, 3),
        (-1, 3, 1, 91, 0, 91),
        (0, 1, 1, 900, 0, 900),
    ]
    assert (tree.time, tree.hidden_ns, tree.hidden_calls) == (1003, 0, 3)


def test_paths_that_are_too_many_go_while_they_come() -> None:
    flame = Flame(4, held=3)
    for part in chains(("ab", 900), ("ac", 5), ("ad", 50), ("b", 3), ("c", 4), ("d", 30)).iter_slices(1):
        flame.add(part)
        assert len(flame._paths) <= 4
    tree = flame.tree(most=100, least_share=0)
    assert tree.time == 992
    assert int(tree.own.sum() + tree.hidden.sum()) + tree.hidden_ns == 992
    assert int(tree.calls.sum()) + tree.hidden_calls == 9


def test_slices_of_a_span() -> None:
    span = Slices(100, 110, 3)
    assert span.edges.tolist() == [100, 103, 106, 110]
    assert span.slice_of(np.array([99, 100, 102, 103, 109, 110, 999])).tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert Slices(5, 5, 4).slice_of(np.array([5])).tolist() == [0]


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_lanes_count_nested_time_once(rows: int) -> None:
    calls = pl.DataFrame(
        {
            "tgid": pl.Series([7, 7, 7, 7, 7, 7], dtype=pl.UInt32),
            "pid": pl.Series([7, 7, 7, 7, 8, 9], dtype=pl.UInt32),
            "start": [5, 8, 31, 90, 0, 0],
            "end": [35, 12, 34, None, 100, 7],
        }
    )
    lanes = Lanes([(7, 7), (7, 8)], Slices(0, 40, 4))
    for part in calls.iter_slices(rows):
        lanes.add(part)
    assert lanes.busy.tolist() == [[5, 10, 10, 5], [10, 10, 10, 10]]


# The command


def test_command(run: Run, tmp_path: Path) -> None:
    sample().write(tmp_path / "trace.parquet")
    done = run("report")
    assert (done.status, done.stdout) == (0, "")
    assert re.fullmatch(
        r"funcsnoop: 5 calls -> trace\.html \(\d+\.\d kB\); left out: 1 open; no events lost\n", done.stderr
    )
    assert page_data((tmp_path / "trace.html").read_text())["calls"] == 5
    refused = run("report", "trace.parquet")
    assert refused.status == 1
    assert refused.stderr == ("funcsnoop: trace.html exists\n  give another name, or --force to replace it\n")
    assert run("report", "--force", "--function", "f", "--until", "15us").status == 0
    data = page_data((tmp_path / "trace.html").read_text())
    assert (data["calls"], data["names"], data["facts"]["selection"]) == (
        3,
        ["f", "g"],
        ["function f", "until 15us"],
    )
    assert run("report", "-o", "x.html", "--thread", "worker-8", "--as", "g:arg0=i8").status == 0
    assert page_data((tmp_path / "x.html").read_text())["calls"] == 1
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["gone.parquet"], 1, "there is no file gone.parquet"),
        (["--function", "nope"], 2, "no function in the trace matches 'nope'"),
        (["--as", "f=i8"], 2, "--as 'f=i8' is not a cast"),
        (["--since", "1s"], 2, "no call of trace.parquet is chosen"),
        (["--since", "soon"], 2, "'soon' is not a duration"),
        (["-o", "gone/x.html"], 1, "gone/x.html cannot be written: No such file or directory"),
    ],
)
def test_command_that_cannot_work(
    run: Run, tmp_path: Path, arguments: list[str], status: int, message: str
) -> None:
    sample().write(tmp_path / "trace.parquet")
    done = run("report", *arguments)
    assert done.status == status
    assert done.stderr.splitlines()[0] == f"funcsnoop: {message}"
    assert len(done.stderr.splitlines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["trace.parquet"]


def test_a_large_trace_gives_a_small_page(tmp_path: Path) -> None:
    """4,001 functions with long names, 401 threads, deep paths that hardly repeat."""
    rng = random.Random(23)
    symbols = [f"f{k}" for k in range(4001)]
    table = [
        function(k + 1, symbol, demangled=f"a<{'b<' * 99}{k}::run()", module=f"/lib/{'m' * 999}/{k}.so")
        for k, symbol in enumerate(symbols)
    ]
    table[7]["demangled"] = "x" * 1_000_000
    recording = Recording(functions=table, metadata={"command": ["c" * 1_000_000]})
    known = {entry["symbol"]: entry["cookie"] for entry in table}
    now = 2_000
    for thread in range(401):
        path = [rng.choice(symbols) for _ in range(101)]
        steps = [("entry", d, name) for d, name in enumerate(path)]
        for kind, depth, name in [*steps, *(("exit", d, name) for _, d, name in reversed(steps))]:
            now += rng.randint(1, 999)
            registers = {"arg0": rng.getrandbits(20)} if kind == "entry" else {"ret_val": rng.getrandbits(9)}
            recording.rows.append(
                {"type": kind, "cookie": known[name], "pid": 9 + thread, "tgid": 7, "timestamp": now}
                | {"name": name, "frame": (1 << 20) - depth}
                | registers
            )
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    html = trace.report().html
    assert 1_000_000 < len(html.encode()) < 3_000_000
    data = page_data(html)
    assert data["calls"] == 401 * 101
    # What is left out is said, to the call.
    left = data["functions_left_out"]
    assert left["functions"] == data["called"] - len(data["functions"]) > 0
    assert left["calls"] + sum(row[3] for row in data["functions"]) == data["calls"]
    flame = data["flame"]
    assert sum(flame["calls"]) + flame["hidden_calls"] == data["calls"]
    assert (
        sum(flame["own"]) + flame["hidden_ns"] == flame["time"] == trace.latency().collect()["self_ns"].sum()
    )
    assert data["threads_left_out"] == 401 - len(data["threads"])
    assert data["edges_left_out"] == len(trace.callgraph().collect()) - len(data["edges"])


def test_a_recording_that_has_not_finished(run: Run, tmp_path: Path) -> None:
    partial(tmp_path / "t.parquet", [14, 6])
    (unfinished,) = tmp_path.glob("*.partial")
    done = run("report", unfinished.name)
    assert done.status == 0, done.stderr
    notice, made = done.stderr.splitlines()
    assert notice.startswith("funcsnoop: notice: ")
    assert made.startswith("funcsnoop: 10 calls -> t.html ")
    assert page_data((tmp_path / "t.html").read_text())["facts"]["notices"][-1] in notice
