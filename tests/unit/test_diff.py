"""Two traces compared: what is a change, what is noise, and what has no counterpart."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcsnoop
from funcsnoop import schemas
from funcsnoop.analyze.blocks import BLOCKS, Blocks
from funcsnoop.analyze.matching import match
from funcsnoop.analyze.movement import holm, movement, one_sided
from funcsnoop.analyze.tables import functions
from funcsnoop.cli.exports import to_arrow
from funcsnoop.cli.units import width_of

from .traces import Recording, function

Run = Callable[..., Any]


def blocks(durations: Any, parts: int = 1) -> Blocks:
    found = Blocks()
    for part in np.array_split(np.asarray(durations, np.int64), parts):
        found.add(part)
    return found


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 1000, 5003])
def test_blocks_hold_every_call_once_however_they_come(count: int) -> None:
    durations = np.random.default_rng(count).integers(1, 10**9, count)
    block, bucket, calls = blocks(durations).table()
    assert calls.sum() == count
    assert min(count, BLOCKS // 2) <= len(set(block.tolist())) <= BLOCKS
    for parts in (2, 7):
        for one, other in zip(blocks(durations, parts).table(), (block, bucket, calls), strict=True):
            assert one.tolist() == other.tolist()
    exact = int(np.sort(durations)[(count * 500 + 999) // 1000 - 1])
    assert blocks(durations).percentile(500) == pytest.approx(exact, rel=0.004)


def noise(rng: np.random.Generator, count: int) -> Any:
    """Durations around 5 µs: log-normal, in two modes, and slower where the machine is busy for a while."""
    base = rng.lognormal(8.5, 0.25, count) * np.where(rng.random(count) < 0.3, 4, 1)
    busy = np.zeros(count, np.bool_)
    for start in rng.integers(0, count, max(1, count // 300)):
        busy[start : start + rng.integers(2, 40)] = True
    return np.where(busy, base * rng.uniform(1.5, 3), base) + rng.integers(0, 100)


@pytest.mark.parametrize("count", [11, 101, 1009, 10007])
def test_noise_is_no_change(count: int) -> None:
    rng = np.random.default_rng(count)
    p_values = []
    for _ in range(40 if count > 10**4 else 100):
        found = movement(blocks(noise(rng, count)), blocks(noise(rng, count)))
        assert found is not None
        p_values.append(found.p_value)
    # Each by itself, not corrected for there being a hundred.
    assert sum(p < 0.01 for p in p_values) == 0


@pytest.mark.parametrize("count", [307, 1009, 10007])
def test_changes_are_found(count: int) -> None:
    rng = np.random.default_rng(count)
    before = noise(rng, count)
    slower = movement(blocks(before), blocks(noise(rng, count) * 1.7))
    assert slower is not None
    assert slower.p_value < 0.01
    assert slower.share > 0.3
    faster = movement(blocks(before), blocks(noise(rng, count) / 1.7))
    assert faster is not None
    assert faster.p_value < 0.01
    assert faster.share < -0.3


def test_a_phase_that_became_slower_is_found() -> None:
    rng = np.random.default_rng(7)
    after = noise(rng, 10_007)
    after[2000:5000] *= 5
    found = movement(blocks(noise(rng, 10_007)), blocks(after))
    assert found is not None
    assert found.p_value < 1e-4
    assert 0.2 < found.share < 0.35


def test_small_differences_are_none() -> None:
    """A median that every call shows to have moved, by 5 %, or by 200 ns: the probes' own cost."""
    rng = np.random.default_rng(3)
    for before, after in ((100_000, 105_000), (400, 600)):
        samples = (rng.normal(mean, mean / 100, 5003) for mean in (before, after))
        found = movement(*(blocks(sample) for sample in samples))
        assert found is not None
        assert found.p_value > 0.5
    assert movement(blocks([5] * 7), blocks([5000] * 100)) is None


def test_students_t_and_holms_correction() -> None:
    # From tables of the distribution.
    for t, freedom, p in ((1.812, 10, 0.05), (2.764, 10, 0.01), (2.423, 40, 0.01), (3.551, 40, 0.0005)):
        assert one_sided(t, freedom) == pytest.approx(p, rel=0.02)
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7, 0.6]) == [1.0, 1.0]


def test_functions_are_matched_by_what_does_not_change() -> None:
    before = [
        function(1, "same"),
        function(2, "moved", module="/lib/libx.so.1.0"),
        function(3, "twin", module="/lib/liba.so", address=10),
        function(4, "twin", module="/lib/liba.so", address=20),
        function(5, "gone"),
        function(6, "in_two", module="/lib/libp.so.1"),
        function(7, "in_two", module="/lib/libq.so.1"),
    ]
    after = [
        function(9, "new"),
        function(1, "in_two", module="/lib/libp.so.2"),
        function(2, "in_two", module="/lib/libq.so.2"),
        function(3, "twin", module="/lib/liba.so", address=25),
        function(4, "twin", module="/lib/liba.so", address=15),
        function(5, "moved", module="/lib/libx.so.1.1"),
        function(6, "same"),
    ]
    tables = [functions(Recording(functions=list(table)).about()).lazy() for table in (before, after)]
    assert match(*tables) == {0: 6, 1: 5, 2: 4, 3: 3}


def program(scale: float = 1, *, second: str = "helper", calls: int = 211, seed: int = 0) -> Recording:
    """main calls work 211 times, which takes about 5 µs times `scale`, and `second` as often."""
    rng = np.random.default_rng(seed)
    recording = Recording(functions=["main", "work", second])
    recording.entry("main", 1_000, 5000)
    now = 2_000
    for place in range(calls):
        took = int(rng.lognormal(8.5, 0.05) * scale)
        recording.entry("work", now, 4000).exit("work", now + took, 4000)
        now += took + 10
        recording.entry(second, now, 4000)
        now += 700 + place % 7
        recording.exit(second, now, 4000)
    recording.exit("main", now, 5000)
    return recording


@pytest.fixture
def traces(tmp_path: Path) -> tuple[Path, Path]:
    return (
        program().write(tmp_path / "a.parquet"),
        program(1.4, second="assistant", calls=307, seed=1).write(tmp_path / "b.parquet"),
    )


def test_diff_names_what_changed(run: Run, traces: tuple[Path, Path]) -> None:
    done = run("analyze", "diff", "a.parquet", "b.parquet")
    lines = done.stdout.splitlines()
    assert lines[0] == "A  a.parquet: 846 events in 0.00 s"
    assert lines[3].split()[:5] == ["CHANGE", "MOVED", "P50", "A", "P50"]
    rows = {line.split()[-1]: line for line in lines[4:8]}
    assert rows["work"].startswith("slower      97 %  4.93 µs  6.86 µs  +39.2 %  ")
    assert rows["main"].startswith("?  ")
    assert rows["helper"].startswith("only in A ")
    assert rows["assistant"].startswith("only in B ")
    assert [line.split()[-1] for line in lines[4:7]] == ["work", "assistant", "helper"]
    assert lines[9:] == [
        "1 slower and 0 faster, of 1 with enough calls to tell",
        "the typical median changed by " + lines[10].split()[-2] + " %",
        "A left out: nothing; no events lost",
        "B left out: nothing; no events lost",
    ]
    back = run("analyze", "diff", "b.parquet", "a.parquet").stdout.splitlines()
    assert back[4].startswith("faster ")


def test_diff_of_a_program_with_itself(run: Run, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        program(seed=seed).write(tmp_path / f"{name}.parquet")
    lines = run("analyze", "diff", "a.parquet", "b.parquet").stdout.splitlines()
    assert {line.split()[0] for line in lines[4:7]} == {"same", "?"}
    assert lines[8].startswith("0 slower and 0 faster, of 2 with")
    assert run("analyze", "diff", "a.parquet", "a.parquet").status == 0


def test_diff_as_rows(run: Run, traces: tuple[Path, Path]) -> None:
    done = run("analyze", "diff", *traces, "--format", "json")
    rows = {row["function"]: row for row in json.loads(done.stdout)}
    assert list(rows["work"]) == schemas.DIFF.names
    work = rows["work"]
    assert (work["change"], work["calls_a"], work["calls_b"], work["calls_diff"]) == ("slower", 211, 307, 96)
    latency = json.loads(run("analyze", "latency", traces[1], "--format", "json").stdout)
    figures = next(row for row in latency if row["function"] == "work")
    for name in ("calls", "total_ns", "self_ns", "p50_ns", "p99_ns"):
        assert work[f"{name}_b"] == figures[name]
        assert work[f"{name}_diff"] == work[f"{name}_b"] - work[f"{name}_a"]
    assert work["p_value"] < 1e-6
    assert work["moved"] > 0.9
    gone = rows["helper"]
    assert (gone["change"], gone["calls_b"], gone["calls_diff"], gone["p50_ns_b"]) == (
        "only_a",
        0,
        -211,
        None,
    )
    assert gone["total_ns_diff"] == -gone["total_ns_a"]
    assert (rows["main"]["change"], rows["main"]["p_value"]) == (None, None)
    assert done.stderr == "A left out: nothing; no events lost\nB left out: nothing; no events lost\n"
    order = run("analyze", "diff", *traces, "--format", "json", "--sort", "calls_b", "--top", "2").stdout
    assert {row["function"] for row in json.loads(order)} == {"work", "assistant"}


def test_diff_of_edges(run: Run, traces: tuple[Path, Path]) -> None:
    rows = json.loads(run("analyze", "diff", *traces, "--callgraph", "--format", "json").stdout)
    assert list(rows[0]) == schemas.DIFF_EDGES.names
    edges = {(row["caller"], row["function"]): row["change"] for row in rows}
    assert edges == {
        ("main", "work"): "slower",
        ("main", "assistant"): "only_b",
        ("main", "helper"): "only_a",
        (None, "main"): None,
    }
    text = run("analyze", "diff", *traces, "--callgraph").stdout
    assert "main → work\n" in text
    assert "(root) → main\n" in text


def test_more_and_fewer_calls(run: Run, tmp_path: Path) -> None:
    for name, calls in (("a", 101), ("b", 211)):
        program(calls=calls).write(tmp_path / f"{name}.parquet")
    for order, change in (("ab", "more_calls"), ("ba", "fewer_calls")):
        found = run("analyze", "diff", *(f"{name}.parquet" for name in order), "--format", "json").stdout
        rows = {row["function"]: row["change"] for row in json.loads(found)}
        assert rows == {"main": None, "work": change, "helper": change}


def test_traces_with_nothing_in_common(run: Run, tmp_path: Path) -> None:
    program().write(tmp_path / "a.parquet")
    Recording().entry("f", 1, 1000).exit("f", 5, 1000).write(tmp_path / "b.parquet")
    done = run("analyze", "diff", "a.parquet", "b.parquet")
    assert done.status == 0
    assert "the traces have no function in common\n" in done.stdout
    for name in "ab":
        Recording().write(tmp_path / f"{name}.parquet")
    assert "no calls in either trace\n" in run("analyze", "diff", "a.parquet", "b.parquet").stdout
    assert run("analyze", "diff", "a.parquet", "b.parquet", "--format", "json").stdout == "[]\n"


def test_other_circumstances_are_said(run: Run, tmp_path: Path) -> None:
    program().write(tmp_path / "a.parquet")
    other = program()
    other.metadata = {"kernel": "5.15\x1b[1m", "attach": "perf"}
    other.functions = [function(1, "main"), function(2, "work", exit="ret"), function(3, "helper")]
    other.write(tmp_path / "b.parquet")
    text = run("analyze", "diff", "a.parquet", "b.parquet").stdout
    assert "the kernel differs: 6.18.0 in A, 5.15\\x1b[1m in B\n" in text
    assert "the way to attach differs: session in A, perf in B\n" in text
    assert "exits of some functions are seen in other ways" in text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_diff_fits_the_terminal(run: Run, traces: tuple[Path, Path], columns: int) -> None:
    for options in ([], ["--callgraph"]):
        shown = run("analyze", "diff", *traces, *options, columns=columns, env={"NO_COLOR": "1"}).stdout
        assert max(map(width_of, shown.splitlines()[2:-2])) <= max(columns, 64)
        coloured = run("analyze", "diff", *traces, *options, columns=columns, env={"TERM": "xterm"}).stdout
        assert "\x1b[31mslower\x1b[0m" in coloured
        assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == shown


@pytest.mark.parametrize("paths", [[], ["a.parquet"], ["a.parquet"] * 3])
def test_two_traces_are_needed(run: Run, traces: tuple[Path, Path], paths: list[str]) -> None:
    done = run("analyze", "diff", *paths)
    assert done.status == 2
    assert "the report diff compares two traces" in done.stderr
    assert done.stderr.count("\n") == 2


def test_tables_for_notebooks(traces: tuple[Path, Path]) -> None:
    first, second = map(funcsnoop.open, traces)
    for edges, schema in ((False, schemas.DIFF), (True, schemas.DIFF_EDGES)):
        found = first.diff(second, edges=edges).collect()
        assert to_arrow(found, schema).schema.equals(schema)
