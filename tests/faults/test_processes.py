"""Processes that come and go by the thousand, more than can be followed, and those that are not recorded."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import funcsnoop
from funcsnoop.analyze.trace import Trace

from .conftest import RUNS
from .sequences import FUNCSNOOP

#: The command line, with room for seven processes.
SEVEN = """
import sys
from funcsnoop.record import options
from funcsnoop.cli import main
options._PROCESSES = 7
sys.exit(main())
"""


@pytest.fixture
def crowd(make):
    return make("crowd.c", "-O1")


def calls_by_process(trace: Trace) -> Counter[int]:
    return Counter(trace.calls().collect()["tgid"].to_list())


def record_with_room_for_seven(crowd: Path, tmp_path: Path, *arguments: str) -> tuple[Trace, str]:
    output = tmp_path / "t.parquet"
    words = ["record", "--follow", "-f", "step", "-o", output, "--", crowd, *arguments]
    done = subprocess.run([sys.executable, "-c", SEVEN, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (7, "done\n"), done.stderr
    return funcsnoop.open(output), done.stderr


def test_more_at_once_than_can_be_followed(crowd, tmp_path):
    """As many as there is room for are recorded whole; how many are not is counted, and said."""
    trace, said = record_with_room_for_seven(crowd, tmp_path, "11", "at-once")
    assert sorted(calls_by_process(trace).values()) == [1] + 6 * [10]
    (notice,) = [n for n in trace.metadata["notices"] if "missing" in n]
    assert notice == "5 child processes are missing: too many at once"
    assert notice in said
    assert len(trace.metadata["processes"]) == 7


def test_those_that_have_ended_make_room(crowd, tmp_path):
    trace, said = record_with_room_for_seven(crowd, tmp_path, "101", "in-turn")
    assert sorted(calls_by_process(trace).values()) == [1] + 101 * [10]
    assert "missing" not in said


def test_more_in_turn_than_max_procs(crowd, record):
    """8,192 can be followed at once; in turn, any number."""
    number = 8501 if RUNS > 1 else 503
    trace = record(["-f", "step"], [crowd, str(number), "in-turn"], status=7)
    counts = calls_by_process(trace)
    assert sum(counts.values()) == 10 * number + 1
    processes = trace.metadata["processes"]
    assert not [n for n in trace.metadata["notices"] if "missing" in n]
    (parent,) = {process["parent_tgid"] for process in processes} - {None}
    assert counts[parent] == 1


def test_descendants(crowd, record):
    """23 generations, each from its first call on; each knows its parent."""
    trace = record(["-f", "step"], [crowd, "23", "chain"], status=7)
    processes = trace.metadata["processes"]
    assert len(processes) == 23
    assert sorted(calls_by_process(trace).values()) == 22 * [2] + [3]
    parents = {process["tgid"]: process["parent_tgid"] for process in processes}
    line = [next(tgid for tgid, parent in parents.items() if parent is None)]
    while len(line) < 23:
        (child,) = [tgid for tgid, parent in parents.items() if parent == line[-1]]
        line.append(child)
    starts = {process["tgid"]: process["start_ns"] for process in processes}
    assert [starts[tgid] for tgid in line] == sorted(starts.values())
    # step(n) tells which generation it was.
    by_process: dict[int, set[int]] = {tgid: set() for tgid in line}
    for tgid, number in trace.calls().collect().select("tgid", "arg0").iter_rows():
        by_process[tgid].add(number)
    assert [by_process[tgid] - {0} for tgid in line] == [{n} for n in range(23, 0, -1)]
    assert all(process["command"][0].endswith("crowd") for process in processes)


@pytest.mark.parametrize(
    "options",
    [
        ("--attach", "session", "--exit", "return"),
        ("--attach", "session", "--exit", "return", "--follow"),
        ("--attach", "multi", "--exit", "return"),
        ("--attach", "multi", "--exit", "ret", "--follow"),
        ("--attach", "perf", "--exit", "return"),
    ],
    ids=" ".join,
)
def test_a_bystander_that_throws_and_forks(build, make, tmp_path, options):
    """It maps the same library and goes on all through the recording, and after it."""
    library = build("libshared.c", "-O1", "-shared", "-fPIC", name="libshared.so")
    against = (f"-L{library.parent}", "-lshared", f"-Wl,-rpath,{library.parent}")
    user, program = build("uses_shared.c", "-O1", *against), make("bystander.cc", "-O1", *against)
    output = tmp_path / "t.parquet"
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as bystander:
        assert bystander.stdout.readline() == "ready\n"
        words = ["record", *options, "-f", f"{library}:shared_*", "-o", output, "--", user, "10007"]
        done = subprocess.run([FUNCSNOOP, *words], input="\n", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert bystander.communicate("\n", timeout=60) == ("many 0\n", None)
    assert bystander.returncode == 5
    assert done.stdout == f"ready\n{10006 * 10007 // 2} 0\n"
    trace = funcsnoop.open(output)
    assert trace.metadata["counts"]["recorded"] == 2 * 10007
    assert len(trace.metadata["processes"]) == 1
