"""Charts: exact rows on hand-written events, few of them whatever the trace, and what is left out said."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import funcsnoop
from funcsnoop import FuncsnoopError, plot
from funcsnoop.analyze.trace import Trace

from .traces import Recording, function

CHARTS: dict[str, Callable[..., Any]] = {
    "latency": plot.latency,
    "heatmap": plot.heatmap,
    "argument": lambda trace, paired=None: plot.argument(trace, "f", paired=paired),
    "flame": plot.flame,
    "timeline": plot.timeline,
}


def drawn(chart: Any) -> tuple[dict[str, Any], list[list[dict[str, Any]]]]:
    """A chart's specification, checked against the schema of Vega-Lite, and its data sets."""
    spec = json.loads(chart.to_json())
    return spec, list(spec["datasets"].values())


def subtitle(spec: dict[str, Any]) -> list[str]:
    lines: list[str] = spec["title"]["subtitle"]
    return lines


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    recording = Recording(
        metadata={
            "counts": {
                "produced": 21,
                "recorded": 14,
                "lost": {"buffer": 7},
                "filtered": {},
                "after_limit": 0,
            }
        }
    )
    recording.entry("f", 2_000, 1000, 1).entry("g", 2_100, 900).exit("g", 2_200, 900).exit("f", 3_000, 1000)
    recording.entry("f", 5_000, 1000, 1).exit("f", 6_000, 1000).entry("f", 7_000, 1000, 2).exit(
        "f", 27_000, 1000
    )
    recording.entry("g", 2_500, 800, pid=8).exit("g", 2_600, 800, pid=8)
    recording.entry("h", 3_000, 800, pid=8).exit("h", 4_000, 800, pid=8).entry("f", 30_000, 900)
    recording.entry("h", 31_000, 700, pid=8)
    return funcsnoop.open(recording.write(tmp_path / "t.parquet"))


@pytest.mark.parametrize("name", CHARTS)
def test_every_chart_says_what_it_leaves_out(trace: Trace, name: str) -> None:
    spec, _ = drawn(CHARTS[name](trace))
    left_out = {"argument": "1 lost", "timeline": "1 lost"}.get(name, "2 lost")
    assert subtitle(spec)[-1] == f"left out: {left_out}; 7 of 21 events lost (33.33%)"


@pytest.mark.parametrize("name", CHARTS)
def test_charts_of_chosen_calls(trace: Trace, name: str) -> None:
    spec, data = drawn(CHARTS[name](trace, paired=trace.paired.filter(pl.col("start") < 3_000)))
    assert subtitle(spec)[-1].startswith("left out: nothing;")
    assert sum(row.get("calls", 0) for row in data[0]) == {"argument": 1, "timeline": 2}.get(name, 3)


def test_latency(trace: Trace) -> None:
    spec, (rows, marks) = drawn(plot.latency(trace, "f"))
    assert spec["title"]["text"] == "Latency of f"
    assert [
        (row["from_ns"] <= ns < row["to_ns"], row["calls"])
        for row, ns in zip(rows, (1000, 20_000), strict=True)
    ] == [(True, 2), (True, 1)]
    assert [(mark["label"], mark["value"]) for mark in marks] == [("p50 1 µs", 1000), ("p99 20 µs", 20_000)]
    spec, (rows,) = drawn(plot.latency(trace))
    assert spec["encoding" if "encoding" in spec else "facet"]["row"]["sort"] == ["f", "h", "g"]
    assert sum(row["calls"] for row in rows) == 6


def test_heatmap(trace: Trace) -> None:
    _, (rows,) = drawn(plot.heatmap(trace, ["f", "h"]))
    assert sum(row["calls"] for row in rows) == 4
    assert all(row["from_s"] < row["to_s"] and row["from_ns"] < row["to_ns"] for row in rows)
    first = min(rows, key=lambda row: row["from_s"])
    assert first["from_s"] * 1e9 == pytest.approx(1_000)  # after the recording began


def test_argument(trace: Trace) -> None:
    spec, (rows,) = drawn(plot.argument(trace, "f", "arg0", "i32"))
    assert spec["title"]["text"] == "Latency of f by arg0 as i32"
    assert rows == [
        {"value": "1", "calls": 2, "p50_ns": 1000, "p99_ns": 1000},
        {"value": "2", "calls": 1, "p50_ns": 20_000, "p99_ns": 20_000},
    ]


def test_flame(trace: Trace) -> None:
    spec, (rows,) = drawn(plot.flame(trace))
    assert subtitle(spec)[0] == "23.1 µs in recorded functions"
    frames = [
        (row["function"], row["level"], round(row["from"], 3), round(row["to"], 3), row["calls"])
        for row in rows
    ]
    # f with g inside, then what another thread called; h once was still running.
    assert sorted(frames) == [
        ("f", 0, 0, 0.952, 4), ("g", 0, 0.996, 1, 1), ("g", 1, 0, 0.004, 1), ("h", 0, 0.952, 0.996, 2),
    ]  # fmt: skip
    assert [row["label"] for row in rows if row["function"] == "f"] == ["f"]


def test_timeline(trace: Trace) -> None:
    spec, (rows,) = drawn(plot.timeline(trace))
    assert subtitle(spec)[0] == "thread 7 worker-7"
    calls = [(round(row["from_s"] * 1e9), row["depth"], row["function"], row["calls"]) for row in rows]
    assert sorted(calls) == [
        (1_000, 0, "f", 1), (1_100, 1, "g", 1), (4_000, 0, "f", 1), (6_000, 0, "f", 1),
    ]  # fmt: skip
    _, (rows,) = drawn(plot.timeline(trace, 8))
    assert [row["function"] for row in rows] == ["g", "h"]


def test_charts_stay_small(tmp_path: Path) -> None:
    """Of 20,011 calls of two functions, some too short to see, in a deep stack."""
    recording = Recording()
    for depth in range(31):
        recording.entry("h", 2_000 + depth, 9000 - depth)
    for turn in range(20_011):
        recording.entry("f", 3_000 + 20 * turn, 8000, turn).exit("f", 3_000 + 20 * turn + 1 + turn % 19, 8000)
    for depth in reversed(range(31)):
        recording.exit("h", 500_000 - depth, 9000 - depth)
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    for name, chart in CHARTS.items():
        _, data = drawn(chart(trace))
        assert len(data[0]) <= 5000, name
        assert sum(row["calls"] for row in data[0]) == (20_011 if name == "argument" else 20_042), name


def test_a_deep_timeline_ends_somewhere_and_says_so(tmp_path: Path) -> None:
    recording = Recording()
    for turn in range(397):
        for depth in range(17):
            recording.entry("f", 3_000 + 2000 * turn + depth, 9000 - depth)
        for depth in reversed(range(17)):
            recording.exit("f", 3_000 + 2000 * turn + 1990 - depth, 9000 - depth)
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    spec, (rows,) = drawn(plot.timeline(trace))
    assert len(rows) <= 5000
    deepest = max(row["depth"] for row in rows)
    assert subtitle(spec)[1] == f"calls deeper than {deepest} are not drawn"
    assert {row["depth"] for row in rows} == set(range(deepest + 1))


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda trace: plot.latency(trace, "nope"), "no function in the trace matches 'nope'"),
        (lambda trace: plot.argument(trace, "f", "arg5"), "f has no arg5 in this trace"),
        (lambda trace: plot.argument(trace, "*", "ret_val"), r"\* means 3 functions: "),
        (lambda trace: plot.timeline(trace, 99), "thread 99 has no calls in the trace"),
        (
            lambda trace: plot.timeline(trace, paired=trace.paired.filter(pl.lit(False))),
            "there are no calls to draw",
        ),
    ],
)
def test_what_cannot_be_drawn(trace: Trace, draw: Callable[[Trace], Any], message: str) -> None:
    with pytest.raises(FuncsnoopError, match=message):
        draw(trace)


def test_many_addresses_are_refused(tmp_path: Path) -> None:
    recording = Recording()
    for turn in range(19):
        recording.entry("f", 2_000 + 10 * turn, 1000, 0x55D0C0DE0000 + 64 * turn).exit(
            "f", 2_005 + 10 * turn, 1000
        )
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    with pytest.raises(FuncsnoopError, match="many addresses"):
        plot.argument(trace, "f")


def test_functions_of_one_name_stay_apart(tmp_path: Path) -> None:
    twins = [
        function(1, "a", demangled="twin", module="/lib/a.so"),
        function(2, "b", demangled="twin", module="/lib/b.so"),
    ]
    recording = Recording(functions=twins)
    recording.entry("a", 10, 1000).exit("a", 20, 1000).entry("b", 30, 1000).exit("b", 50, 1000)
    _, (rows,) = drawn(plot.latency(funcsnoop.open(recording.write(tmp_path / "t.parquet"))))
    assert {row["function"] for row in rows} == {"twin (a.so)", "twin (b.so)"}


@pytest.mark.parametrize("name", ["latency", "heatmap", "flame"])
def test_an_empty_trace(tmp_path: Path, name: str) -> None:
    trace = funcsnoop.open(Recording().write(tmp_path / "t.parquet"))
    spec, data = drawn(CHARTS[name](trace))
    assert data[0] == []
    assert subtitle(spec)[-1] == "left out: nothing; no events lost"


def test_without_altair() -> None:
    code = "import sys; sys.modules['altair'] = None; import funcsnoop.plot"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "funcsnoop.plot draws with Altair, which is not installed" in done.stderr
