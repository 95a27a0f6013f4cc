"""Events are lost in any share, from none to nearly all: each is counted, placed in time, and in no report
taken for something else. The program tells what it did, so that what is missing is known one by one."""

from __future__ import annotations

import itertools
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import funcsnoop
from funcsnoop.analyze.trace import Trace
from funcsnoop.record.losses import MOST_WINDOWS

from .conftest import RUNS
from .sequences import FUNCSNOOP, wait_until

THREADS, CALLS, ROUNDS = 2, 2503, 10
#: Of a thread in a round: both sides of outer() and of inner().
EVENTS = 4 * CALLS
#: Bytes of an event in the ring, by layout: its least.
LEAST_SIZE = {"lean": 96, "full": 160}


@dataclass(frozen=True)
class Pattern:
    """A ring, and in how many of the rounds nobody empties it."""

    ring: str
    stopped: int

    def least_lost(self, layout: str) -> int:
        size = int(self.ring[:-1]) << {"K": 10, "M": 20}[self.ring[-1]]
        return self.stopped * max(0, THREADS * EVENTS - size // LEAST_SIZE[layout])


#: From nothing to 99.8 % lost, at the least.
PATTERNS = [
    Pattern("64M", 0),
    Pattern("64M", 10),
    Pattern("256K", 1),
    Pattern("256K", 4),
    Pattern("64K", 6),
    Pattern("16K", 8),
    Pattern("4K", 10),
]
WAYS = list(itertools.product(["session", "multi", "perf"], ["lean", "full"]))
CROSSED = itertools.product(PATTERNS, WAYS)
PAIRED = zip(PATTERNS, itertools.cycle(WAYS), strict=False)


@pytest.mark.parametrize(
    ("pattern", "attach", "layout"),
    [
        pytest.param(pattern, *way, id="-".join((pattern.ring, str(pattern.stopped), *way)))
        for pattern, way in (CROSSED if RUNS > 1 else PAIRED)
    ],
)
def test_to_the_event(make, tmp_path, pattern, attach, layout):
    output = tmp_path / "t.parquet"
    words = ["--attach", attach, "--layout", layout, "--buffer", pattern.ring, "--exit", "return"]
    errors = run_rounds(make("rounds.c", "-O1", "-pthread"), output, words, pattern.stopped)
    trace = funcsnoop.open(output)
    counts = trace.metadata["counts"]
    lost = counts["lost"]["buffer"]
    assert counts["produced"] == THREADS * ROUNDS * EVENTS
    assert counts["recorded"] == trace.events.collect().height == counts["produced"] - lost
    assert counts["lost"] == {"buffer": lost}
    assert f"{lost:,} lost" in errors
    assert lost >= pattern.least_lost(layout)
    if pattern.ring == "64M":
        assert lost == 0  # it holds them all
    check_windows(trace)
    check_calls(trace)


def run_rounds(program: Path, output: Path, options: list[str], stopped: int) -> str:
    """Record the rounds, the recorder standing still in some, evenly spread; what it says."""
    words = [FUNCSNOOP, "record", "-o", output, "-f", "outer", "-f", "inner", *options]
    with subprocess.Popen(
        [*words, "--", program, str(THREADS), str(CALLS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            for number in range(ROUNDS):
                stands = (number + 1) * stopped // ROUNDS > number * stopped // ROUNDS
                if stands:
                    process.send_signal(signal.SIGSTOP)
                    wait_until(lambda: stands_still(process.pid))
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == "done\n"
                if stands:
                    process.send_signal(signal.SIGCONT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    return errors


def stands_still(pid: int) -> bool:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T" for task in tasks)


def check_windows(trace: Trace) -> None:
    """What is missing between two events of a thread is covered by windows; their sums are exact."""
    windows = trace.metadata["loss_windows"]
    assert sum(window["events"] for window in windows) == trace.metadata["counts"]["lost"]["buffer"]
    assert all(window["pid"] is not None for window in windows)
    seen = 0
    for (pid,), events in numbered(trace).group_by("pid"):
        place = np.concatenate(([-1], events["place"].to_numpy(), [ROUNDS * EVENTS]))
        time = np.concatenate(([0], events["timestamp"].to_numpy(), [2**63 - 1]))
        assert (np.diff(place) > 0).all()
        assert (np.diff(time) > 0).all()
        own = sorted((w["start_ns"], w["end_ns"], w["events"]) for w in windows if w["pid"] == pid)
        seen += len(own)
        start, end, lost = np.array(own, np.int64).reshape(-1, 3).T
        missing = np.diff(place) - 1
        assert missing.sum() == lost.sum()
        since, until = time[:-1], time[1:]
        first, behind = np.searchsorted(end, since, "right"), np.searchsorted(start, until, "left")
        gaps = missing > 0
        assert (first[gaps] < behind[gaps]).all()
        if len(windows) < MOST_WINDOWS // 2:
            # None was merged with another: each gap is accounted for by itself.
            sums = np.concatenate(([0], lost.cumsum()))
            assert (sums[behind] - sums[first] == missing).all()
    # Threads of which nothing is left.
    silent = [w for w in windows if w["pid"] not in set(trace.events.collect()["pid"])]
    assert len(windows) == seen + len(silent)
    assert sum(w["events"] for w in silent) == ROUNDS * EVENTS * len({w["pid"] for w in silent})


def numbered(trace: Trace) -> pl.DataFrame:
    """The events, with `place`: which of its thread's it is."""
    side = pl.struct(pl.col("name").cast(pl.String), pl.col("type").cast(pl.String))
    order = {("outer", "entry"): 0, ("inner", "entry"): 1, ("inner", "exit"): 2, ("outer", "exit"): 3}
    events = trace.events.with_columns(
        side.map_elements(lambda s: order[s["name"], s["type"]], return_dtype=pl.Int64).alias("step")
    ).collect()
    back = pl.when(pl.col("step") == 2).then(1).when(pl.col("step") == 3).then(3).otherwise(0)
    number = pl.coalesce("arg0", pl.col("ret_val").xor(back.cast(pl.UInt64))).cast(pl.Int64)
    return events.with_columns(place=4 * (number & ((1 << 40) - 1)) + pl.col("step"), number=number)


def check_calls(trace: Trace) -> None:
    """Calls of which both sides were recorded are complete, and right; others are `lost`, and none else."""
    sides = numbered(trace).group_by("name", "number").agg(pl.len().alias("sides"))
    both = sides.filter(pl.col("sides") == 2).height
    calls = trace.calls().collect().with_columns(pl.col("status").cast(pl.String))
    complete = calls.filter(pl.col("status") == "complete")
    assert complete.height == both
    assert calls.filter(pl.col("status") == "lost").height == sides.height - both
    assert calls.height == sides.height
    name = pl.col("name").cast(pl.String)
    given = pl.when(name == "outer").then(3).otherwise(1).cast(pl.UInt64)
    assert complete.filter(pl.col("ret_val") != pl.col("arg0").xor(given)).is_empty()
    latency = trace.latency().collect()
    assert latency["calls"].sum() == sides.height
    assert latency["lost"].sum() == sides.height - both
    assert latency["open"].sum() == latency["unwound"].sum() == 0
