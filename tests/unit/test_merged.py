"""Several traces: each by itself, or as one; and their work spread over processes."""

from __future__ import annotations

import json
import multiprocessing
import random
import re
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import funcsnoop
from funcsnoop.analyze import merged
from funcsnoop.analyze.effort import Effort
from funcsnoop.analyze.engine import merge, process
from funcsnoop.analyze.merged import Merged
from funcsnoop.analyze.question import Partition, Question
from funcsnoop.analyze.selection import Selection
from funcsnoop.analyze.trace import Trace
from funcsnoop.cli import progress
from funcsnoop.errors import TraceError

from ..conftest import Finished
from .test_engine import same, tables
from .test_walk import soup
from .traces import Recording, function

Run = Callable[..., Finished]


def write(directory: Path, name: str, functions: list[Any], *calls: tuple[str, int], host: str = "a") -> Path:
    """A trace in which functions of these names took so long, each called by `main`."""
    recording = Recording(functions=functions, metadata={"host": host})
    now = 5_000
    recording.entry("main", now, 1000)
    for name_, duration in calls:
        recording.entry(name_, now + 1, 900, duration)
        now += 1 + duration
        recording.exit(name_, now, 900, 0)
    return recording.exit("main", now + 1, 1000).write(directory / name)


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """The same program twice, its functions in another order."""
    first = write(tmp_path, "one.parquet", ["main", "f", "g"], ("f", 10), ("f", 30), ("g", 5))
    calls = ("f", 20), ("h", 7), ("g", 5)
    return [first, write(tmp_path, "two.parquet", ["h", "g", "f", "main"], *calls, host="b")]


def test_latency_of_several_traces_as_one(run: Run, two: list[Path]) -> None:
    done = run("analyze", "latency", "--merge", *two, "--format", "json")
    rows = {row["function"]: row for row in json.loads(done.stdout)}
    assert {
        name: (row["calls"], row["min_ns"], row["p50_ns"], row["max_ns"]) for name, row in rows.items()
    } == {
        "main": (2, 36, 36, 49),
        "f": (3, 10, 20, 30),
        "g": (2, 5, 5, 5),
        "h": (1, 7, 7, 7),
    }
    assert "trace" not in rows["f"]
    assert done.stderr == "left out: nothing; no events lost\n"


def test_the_call_graph_and_the_arguments_of_several_traces(run: Run, two: list[Path]) -> None:
    edges = json.loads(run("analyze", "callgraph", "--merge", *two, "--format", "json").stdout)
    assert {(row["caller"], row["callee"]): row["calls"] for row in edges} == {
        (None, "main"): 2, ("main", "f"): 3, ("main", "g"): 2, ("main", "h"): 1
    }  # fmt: skip
    tree = run("analyze", "callgraph", "--merge", *two, "--focus", "g").stdout
    assert [line.split()[-1] for line in tree.splitlines()[1:3]] == ["main", "g"]
    args = json.loads(run("analyze", "args", "--merge", *two, "--format", "json", "--as", "g:arg0=i8").stdout)
    assert {
        row["function"]: row["top"] for row in args if row["arg"] == "arg0" and row["function"] == "g"
    } == {"g": [{"value": 5, "count": 2}]}


def test_figures_of_each_trace_tell_host_and_trace(run: Run, two: list[Path], tmp_path: Path) -> None:
    """A word that names no file is a glob."""
    done = run("analyze", "latency", "*o*.parquet", "--format", "json", "--function", "f")
    rows = [(row["trace"], row["host"], row["calls"]) for row in json.loads(done.stdout)]
    assert rows == [("one.parquet", "a", 2), ("two.parquet", "b", 1)]
    (tmp_path / "[x].parquet").write_bytes(two[0].read_bytes())
    assert "f " in run("analyze", "latency", "[x].parquet").stdout
    wrong = run("analyze", "latency", "z*.parquet")
    assert (wrong.status, wrong.stderr.splitlines()[0]) == (2, "funcsnoop: no file matches z*.parquet")


def test_what_cannot_be_merged(run: Run, two: list[Path]) -> None:
    wrong = run("analyze", "threads", "--merge", *two)
    assert wrong.status == 2
    assert "--merge means nothing to the report threads" in wrong.stderr


def test_effort_on_the_command_line(run: Run, two: list[Path]) -> None:
    plain = run("analyze", "latency", two[0], "--format", "csv").stdout
    for options in (["--jobs", 1], ["--jobs", 3], ["--memory", "1K"], ["--no-cache"]):
        assert run("analyze", "latency", two[0], "--format", "csv", *map(str, options)).stdout == plain
    assert run("analyze", "latency", two[0], "--memory", "much").status == 2
    assert run("analyze", "latency", two[0], "--jobs", "0").status == 2


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    return [soup(random.Random(seed)).write(tmp_path / f"{seed}.parquet") for seed in range(5)]


def test_processes_of_our_own_give_the_same(many: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    traces = [(Trace(path), Selection().between(100, 1000)) for path in many]
    alone = Merged(traces, Effort(jobs=1)).arguments().collect()
    monkeypatch.setattr(merged, "_WORTH_PROCESSES", 0)
    told: list[tuple[int, int]] = []
    spread = Merged(traces, Effort(jobs=2, progress=lambda done, of: told.append((done, of))))
    assert spread.arguments().collect().equals(alone)
    assert len(alone)
    rows = sum(trace.rows for trace, _ in traces)
    assert len(told) == 5
    assert told[-1] == (rows, rows)


def test_an_error_in_a_process_is_told(many: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, "_WORTH_PROCESSES", 0)
    together = Merged([(Trace(path), Selection()) for path in many], Effort(jobs=2))
    many[3].write_bytes(b"gone")
    with pytest.raises(TraceError, match="not a Parquet file"):
        together.latency()


def test_any_scheduler_can_run_the_parts(many: list[Path]) -> None:
    """A pool of plain processes, as that of a cluster: what goes in and what comes out is pickled."""
    partitions = [Partition(str(path), part, 3) for path, part in product(many[:2], range(3))]
    question = Question(columns=("arg0", "ret_val"))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        parts = pool.starmap(process, [(partition, question) for partition in partitions])
    random.Random(1).shuffle(parts)
    whole = merge([process(Partition(str(path)), question) for path in many[:2]])
    recording = Recording(functions=["f", function(2, "g", exit="none"), "h", "i"])
    found, expected = tables(merge(parts), recording), tables(whole, recording)
    same(found, expected)


def test_a_bar_shows_after_a_moment(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.5, 1.5, 9.0, 9.1])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with progress.progress_bar("analyzing") as show:
        show(1, 10)
        show(2, 10)
        assert "analyzing" not in capfd.readouterr().err
        show(3, 10)
        show(4, 10)
        show(10, 10)
        assert re.search(r"analyzing .*40%", capfd.readouterr().err)
        show(1, 10)
    assert capfd.readouterr().err == ""


def test_no_bar_in_a_file(two: list[Path], capfd: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("analyzing") as show:
        for done in range(10):
            show(done, 10)
    assert capfd.readouterr().err == ""
    assert funcsnoop.open(two[0]).rows == 8
