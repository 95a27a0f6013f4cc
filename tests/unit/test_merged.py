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
from funcsnoop import schemas
from funcsnoop.analyze import merged
from funcsnoop.analyze.effort import Effort
from funcsnoop.analyze.engine import merge, process
from funcsnoop.analyze.merged import Merged
from funcsnoop.analyze.question import Partition, Question
from funcsnoop.analyze.selection import Selection
from funcsnoop.analyze.trace import Trace
from funcsnoop.cli import progress
from funcsnoop.errors import TraceError
from funcsnoop.schemas.metadata import NOTHING_FILTERED
from funcsnoop.schemas.summary import MergedSummary, SummaryRecording

from ..conftest import Finished
from .both import by_numpy, by_walk
from .test_engine import same, tables
from .test_walk import soup
from .traces import STARTED, Recording, function

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
    wrong = run("analyze", "calls", "--merge", *two)
    assert wrong.status == 2
    assert "--merge means nothing to the report calls" in wrong.stderr


#: Of two hosts whose processes and threads have the same ids; the second has booted again.
BOOTS = ("2f0c6c3e-0000-4000-8000-000000000001", "2f0c6c3e-0000-4000-8000-000000000002")


def alike(directory: Path, name: str, host: str, command: str, calls: int, **metadata: Any) -> Path:
    """A trace of process 7 with its only thread, 7, in which `f` took 10 ns, so often."""
    recording = Recording(metadata={"host": host} | metadata)
    for number in range(calls):
        recording.entry("f", 5_000 + 100 * number, 900).exit("f", 5_010 + 100 * number, 900)
    about = recording.about()
    recording.metadata["processes"] = [about["processes"][0] | {"command": [command]}]
    recording.metadata["threads"] = [about["threads"][0] | {"name": f"of {host}"}]
    return recording.write(directory / name)


@pytest.fixture
def hosts(tmp_path: Path) -> list[Path]:
    one = alike(tmp_path, "one.parquet", "a", "./server", 3)
    started = {"monotonic_ns": 4_000, "boottime_ns": 1, "realtime_ns": 1_700_000_000_000_000_007}
    return [one, alike(tmp_path, "two.parquet", "b", "./client", 5, boot_id=BOOTS[1], started=started)]


def test_threads_of_several_hosts_are_kept_apart(run: Run, hosts: list[Path]) -> None:
    done = run("analyze", "threads", "--merge", *hosts, "--format", "json")
    rows = json.loads(done.stdout)
    assert [list(row) for row in rows] == [schemas.THREADS_APART.names] * 2
    assert [(row["trace"], row["host"], row["tgid"], row["pid"]) for row in rows] == [
        (str(hosts[1]), "b", 7, 7),
        (str(hosts[0]), "a", 7, 7),
    ]
    figures = [(row["thread_name"], row["calls"], row["events"], row["busy_ns"]) for row in rows]
    assert figures == [("of b", 5, 10, 50), ("of a", 3, 6, 30)]
    # One line for both: nothing of it is a thread's.
    assert done.stderr == "left out: nothing; no events lost\n"
    lines = run("analyze", "threads", "--merge", *hosts).stdout.splitlines()
    assert lines[0].split()[:5] == ["HOST", "TRACE", "TGID", "PID", "NAME"]
    # Each from the start of its own recording, by a clock of its own host.
    assert [(line.split()[0], line.split()[-2:]) for line in lines[1:3]] == [
        ("b", ["0.000001", "0.000001"]),
        ("a", ["0.000004", "0.000004"]),
    ]
    by_host = run("analyze", "threads", "--merge", *hosts, "--format", "json", "--sort", "host")
    assert [row["host"] for row in json.loads(by_host.stdout)] == ["a", "b"]
    alone = run("analyze", "threads", "--merge", hosts[0], "--format", "json")
    assert list(json.loads(alone.stdout)[0]) == schemas.THREADS.names


@pytest.mark.parametrize("difference", ["host", "boot_id", "started"])
def test_recordings_of_one_name_are_kept_apart(difference: str, tmp_path: Path) -> None:
    """As where each host of a cluster has its own `trace.parquet`, whose parts come together somewhere."""
    one, other = Recording(), Recording()
    other.metadata[difference] = {
        "host": "elsewhere",
        "boot_id": BOOTS[1],
        "started": STARTED | {"realtime_ns": 1},
    }[difference]
    for recording in (one, other):
        recording.entry("f", 5_000, 900).exit("f", 5_010, 900)
    partition = Partition("/var/tmp/trace.parquet")
    for way in (lambda r: by_walk(r, partition=partition), by_numpy):
        together = merge([merge([way(one), way(other)]), way(one)])
        assert together.threads["trace"].tolist() == [0, 1]
        assert together.threads["calls"].tolist() == [2, 1]
        assert together.by_function["calls"].tolist() == [3]


def test_parts_of_one_recording_are_put_together(many: list[Path]) -> None:
    parts = [process(Partition(str(many[0]), part, 3), Question()) for part in range(3)]
    assert len(merge(parts).traces) == 1


def test_the_summary_names_hosts_and_processes(run: Run, hosts: list[Path]) -> None:
    found = json.loads(run("analyze", *hosts, "--merge", "--format", "json").stdout)
    assert list(found) == list(MergedSummary.__annotations__)
    for trace in found["traces"]:
        assert list(trace) == list(SummaryRecording.__annotations__)
    assert [
        (t["trace"], t["host"], [(p["tgid"], p["command"]) for p in t["processes"]], t["threads"], t["calls"])
        for t in found["traces"]
    ] == [
        (str(hosts[0]), "a", [(7, ["./server"])], 1, 3),
        (str(hosts[1]), "b", [(7, ["./client"])], 1, 5),
    ]
    (top,) = found["top_total"]
    assert (top["function"], top["calls"], top["total_ns"]) == ("f", 8, 80)
    assert found["functions"] == {"traced": 3, "called": 1, "entry_only": 0, "skipped": 0}
    text = run("analyze", *hosts, "--merge").stdout
    lines = [line.split() for line in text.splitlines()]
    assert ["traces", "2,", "of", "2", "hosts"] in lines
    assert ["calls", "8", "in", "2", "threads"] in lines
    named = {words[0]: words[-3:] for words in lines if words and words[0] in ("a", "b")}
    assert named == {"a": ["3", "7", "./server"], "b": ["5", "7", "./client"]}
    assert text.count("left out: nothing; no events lost\n") == 1


def test_a_merged_summary_counts_a_function_once(run: Run, tmp_path: Path) -> None:
    paths = []
    skipped = {"symbol": "s", "module": "/usr/lib/libdemo.so.1", "reason": "too short"}
    for number in range(2):
        functions = ["f", function(2, "g", exit="none")]
        notices = [f"said {number}"]
        recording = Recording(functions=functions, metadata={"skipped": [skipped], "notices": notices})
        recording.entry("f", 5_000, 900).entry("g", 5_001, 800).exit("f", 5_010, 900)
        paths.append(recording.write(tmp_path / f"{number}.parquet"))
    found = json.loads(run("analyze", *paths, "--merge", "--format", "json").stdout)
    assert found["functions"] == {"traced": 2, "called": 2, "entry_only": 1, "skipped": 1}
    assert found["left_out"]["entry_only"] == 2
    text = run("analyze", *paths, "--merge").stdout
    assert all(f"  {paths[number]}: said {number}\n" in text for number in range(2))
    markdown = run("analyze", *paths, "--merge", "--format", "markdown").stdout
    assert markdown.startswith("```\ntraces ")


def test_edges_around_a_function_that_only_one_trace_has(run: Run, two: list[Path]) -> None:
    done = run("analyze", "callgraph", "--merge", *two, "--focus", "h", "--format", "json")
    edges = [(row["caller"], row["callee"], row["calls"]) for row in json.loads(done.stdout)]
    assert edges == [("main", "h", 1)]


def test_samples_are_estimated_together_where_they_are_alike(run: Run, tmp_path: Path) -> None:
    def sampled(name: str, sample: int) -> Path:
        filters = NOTHING_FILTERED | {"sample": sample, "roots": 10 * sample, "sampled_roots": 10}
        recording = Recording(metadata={"filters": filters})
        recording.metadata["counts"] = recording.about()["counts"] | {
            "filtered": {"sample": 5}, "produced": 2, "recorded": 2
        }  # fmt: skip
        return recording.entry("f", 5_000, 900).exit("f", 5_010, 900).write(tmp_path / name)

    tenth, other, third = sampled("a", 10), sampled("b", 10), sampled("c", 3)
    alike = run("analyze", "latency", "--merge", tenth, other).stdout.splitlines()
    assert alike[0].split()[2:5] == ["CALLS", "EST", "CALLS"]
    assert alike[1].split()[2:4] == ["2", "20"]
    assert "sample 1/10 (20 of 200 outermost calls recorded: multiply by 10)" in alike[-1]
    different = run("analyze", "latency", "--merge", tenth, third).stdout.splitlines()
    assert "EST" not in different[0]
    assert different[-1] == "left out: nothing; no events lost, 10 left out by --sample"


def test_tables_of_each_trace_name_its_host(run: Run, hosts: list[Path]) -> None:
    lines = run("analyze", "threads", *hosts).stdout.splitlines()
    headings = [line for line in lines if line.startswith("==>")]
    assert headings == [f"==> {path}, host {host} <==" for path, host in zip(hosts, "ab", strict=True)]


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
