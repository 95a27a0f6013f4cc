"""Ids of processes and threads that are used again, in a pid namespace where the program chooses them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import funcsnoop

FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")
#: Far above what a recorder, and what starts it, get.
AGAIN = 20011
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")


@pytest.fixture
def program(build):
    return build("comes_again.c", "-O1", "-pthread")


def check(path: Path) -> None:
    """Each life has its own calls, its own row, and ends before the next begins."""
    trace = funcsnoop.open(path)
    metadata = trace.metadata
    assert metadata["counts"]["lost"] == {"buffer": 0}
    lives = [row for row, process in enumerate(metadata["processes"]) if process["tgid"] == AGAIN]
    assert len(lives) == 3
    calls = trace.paired.join(trace.functions, on="function").select(
        "process", "symbol", "status", "tgid", "pid"
    )
    counts = calls.with_columns(pl.col("status").cast(pl.String)).collect().rows()
    for life, visits in zip(lives, (11, 13, 17), strict=True):
        about = metadata["processes"][life]
        assert about["command"]
        assert about["end_ns"] is not None
        assert counts.count((life, "visit", "complete", AGAIN, AGAIN)) == visits
        assert counts.count((life, "leave", "unwound", AGAIN, AGAIN)) == 1
    ends = [metadata["processes"][life]["end_ns"] for life in lives]
    assert ends == sorted(ends)
    assert ends == [t["end_ns"] for t in metadata["threads"] if t["pid"] == AGAIN]
    threads = trace.threads().filter(pl.col("pid") == AGAIN + 1).sort("first_ns").collect()
    assert threads["calls"].to_list() == [3, 5, 7]
    assert threads["tgid"].n_unique() == 1


def test_of_children_that_are_followed(program, tmp_path):
    output = tmp_path / "t.parquet"
    functions = ["-f", "visit", "-f", "leave"]
    words = [*NAMESPACE, FUNCSNOOP, "record", "-o", output, *functions, "--", program, str(AGAIN)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    check(output)
    children = [p for p in funcsnoop.open(output).metadata["processes"] if p["tgid"] == AGAIN]
    starts = [child["start_ns"] for child in children]
    assert starts == sorted(set(starts))
    assert all(child["parent_tgid"] is not None for child in children)


def test_of_any_processes(program, tmp_path):
    output, log = tmp_path / "t.parquet", tmp_path / "log"
    record = [FUNCSNOOP, "record", "--all-processes", "-o", output]
    record += ["-f", f"{program}:visit", "-f", f"{program}:leave"]
    script = (
        f"{shlex.join(map(str, record))} 2>{log} & recorder=$!; "
        f"until grep -q Ctrl-C {log}; do kill -0 $recorder || exit 1; sleep 0.05; done; "
        f"{program} {AGAIN}; kill -INT $recorder; wait $recorder"
    )
    done = subprocess.run([*NAMESPACE, "sh", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "done\n"), log.read_text()
    check(output)
