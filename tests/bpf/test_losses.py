"""A full ring loses events; each is counted, and what is left stays right."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

import funcsnoop

FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")
CALLS = 100_003


@pytest.fixture
def rate(build):
    return build("rate.c", "-O1", "-pthread")


def check(trace, calls):
    counts = trace.metadata["counts"]
    assert counts["produced"] == 2 * calls
    assert counts["produced"] == counts["recorded"] + counts["lost"]["buffer"]
    assert len(pl.read_parquet(trace.path)) == counts["recorded"]
    assert sum(window["events"] for window in trace.metadata["loss_windows"]) == counts["lost"]["buffer"]
    return counts["lost"]["buffer"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("layout", ["lean", "full"])
def test_a_tiny_ring_counts_what_it_loses(rate, run, tmp_path, threads, layout):
    done = run(
        "record", "--buffer", "4K", "--layout", layout, "-f", "hot", "--", rate, str(threads), str(CALLS)
    )
    trace = funcsnoop.open(tmp_path / "trace.parquet")
    lost = check(trace, threads * CALLS)
    assert lost > 0
    assert f"{lost:,} lost" in done.stderr
    assert "larger --buffer than 4K" in done.stderr
    # What was recorded pairs rightly: hot(i) returns i ^ 1, and no two of its calls overlap.
    calls = trace.calls().filter(pl.col("status").cast(str) == "complete").collect()
    assert len(calls) > 100
    assert calls.filter(pl.col("ret_val") != pl.col("arg0").xor(pl.lit(1, pl.UInt64))).is_empty()
    row = trace.latency().collect().row(0, named=True)
    assert row["calls"] == len(calls) + row["lost"]


def test_a_recorder_that_stands_still(rate, start, tmp_path):
    """Stopped while the target runs, it finds a full ring, and knows of everything that did not fit."""
    output = tmp_path / "t.parquet"
    process = start(
        [FUNCSNOOP, "record", "-o", output, "--buffer", "64K", "-f", "hot", "--", rate, "1", str(CALLS)]
    )
    while not (
        links := subprocess.run(
            ["pgrep", "-P", str(process.pid), "-x", "rate"], capture_output=True, text=True
        ).stdout
    ):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGSTOP)
    child = int(links.split()[0])
    while Path(f"/proc/{child}/stat").read_text().split()[2] not in "Zt":
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGCONT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    check(funcsnoop.open(output), CALLS)


def test_the_default_ring_loses_nothing_of_an_ordinary_load(rate, record):
    trace = record(["-f", "hot"], [rate, "1", str(CALLS)])
    assert check(trace, CALLS) == 0
    assert trace.metadata["loss_windows"] == []
    assert trace.latency().collect()["calls"].to_list() == [CALLS]
