"""Code that unwinds comes into a process that is recorded with return probes: they are exchanged in time."""

from __future__ import annotations

import subprocess

import polars as pl
import pytest

import funcsnoop

from .conftest import RUNS


def exchanged(make, run, tmp_path, *options):
    """A recording in which return probes were exchanged; how many steps each thread made, and main relays."""
    library = make("thrower.cc", "-O2", "-shared", "-fPIC", name="libthrower.so")
    program = make("loads_late.c", "-O2")
    output, counts = tmp_path / "t.parquet", tmp_path / "counts"
    command = [program, library, counts]
    alone = subprocess.run(command, capture_output=True, text=True, timeout=60)
    recorded = run("record", "-q", *options, "--buffer", "64M", "-o", output, "--", *command)
    assert (recorded.stdout, recorded.status) == (alone.stdout, alone.returncode) == ("133\n", 10)

    trace = funcsnoop.open(output)
    assert trace.loss.lost == {"buffer": 0}
    (notice,) = trace.metadata["notices"]
    assert "return probes were taken out (lib" in notice
    *steps, relays = map(int, counts.read_text().split())
    return trace, steps, relays


def calls_of(trace):
    return trace.calls().select("name", "pid", "depth", pl.col("status").cast(pl.String)).collect()


def statuses(calls):
    """How often each status, by name."""
    return {
        name: dict(calls.filter(pl.col("name") == name)["status"].value_counts().iter_rows())
        for name in calls["name"].unique()
    }


@pytest.mark.parametrize("attach", ["session", "multi", *(["perf"] if RUNS > 1 else [])])
@pytest.mark.parametrize("attempt", range(RUNS))
@pytest.mark.parametrize("events", ["sides", "spans"])
def test_a_library_that_throws_is_loaded_in_the_middle(make, run, tmp_path, attach, attempt, events):
    """Threads call all the while; each call is seen once, at both sides, whichever links saw them."""
    trace, steps, relays = exchanged(make, run, tmp_path, "--attach", attach, "--events", events)
    calls = calls_of(trace)
    found = statuses(calls)
    assert found["main"] == {"complete": 1}
    assert found["work"] == {"complete": 3}
    assert found["step"] == {"complete": sum(steps)}
    assert found["same"] == {"complete": relays}
    assert found["relay"] == {"complete": relays + 12, "unwound": 11}
    # It had jumped to work() when only its return probe could have seen it return.
    assert found["run"] == {"lost": 3}
    # Without return probes only its entries are seen, as those of another row of the function table.
    assert found["leap"].pop("lost", 0) <= 3
    assert calls.filter(pl.col("name") == "leap").height == sum(steps)
    assert found["leap"].keys() == {"complete", None}
    exits = [f["exit"] for f in trace.metadata["functions"] if f["symbol"] == "leap"]
    assert exits == ["return", "none"]
    by_thread = calls.filter(pl.col("name") == "step")["pid"].value_counts()["count"]
    assert sorted(by_thread) == sorted(steps)


def check_conserved(trace):
    counts = trace.metadata["counts"]
    assert counts["produced"] == counts["recorded"] + sum(counts["filtered"].values())
    assert sum(counts["filtered"].values()) > 0


@pytest.mark.parametrize("attach", ["session", "multi"])
def test_depth_goes_on(make, run, tmp_path, attach):
    """The calls under way are those that other links saw begin."""
    trace, _, relays = exchanged(make, run, tmp_path, "--attach", attach, "--max-depth", "2")
    calls = calls_of(trace)
    assert statuses(calls) == {
        "main": {"complete": 1},
        "relay": {"complete": relays + 12, "unwound": 11},
        "run": {"lost": 3},
        "work": {"complete": 3},
    }
    assert calls["depth"].max() == 1
    check_conserved(trace)


@pytest.mark.parametrize("attach", ["session", "multi"])
def test_samples_stay_whole(make, run, tmp_path, attach):
    trace, steps, relays = exchanged(make, run, tmp_path, "--attach", attach, "--sample", "1/2")
    calls = calls_of(trace)
    threads = calls.filter(pl.col("name") == "work")["pid"]
    of_threads = calls.filter(pl.col("pid").is_in(threads.implode()))
    for pid in threads:
        found = of_threads.filter(pid=pid)["name"].value_counts()
        made = dict(found.iter_rows())
        assert made.pop("step") == made.pop("leap") in steps
        assert made == {"run": 1, "work": 1}
    others = statuses(calls.filter(~pl.col("pid").is_in(threads.implode())))
    assert others in (
        {},
        {
            "main": {"complete": 1},
            "relay": {"complete": relays + 12, "unwound": 11},
            "same": {"complete": relays},
        },
    )
    filters = trace.metadata["filters"]
    assert filters["roots"] == 4
    assert filters["sampled_roots"] == len(threads) + bool(others)
    assert set(of_threads.filter(name="step")["status"]) <= {"complete"}


@pytest.mark.parametrize("attach", ["session", "multi"])
def test_slow_calls_are_seen_through(make, run, tmp_path, attach):
    """Calls of which only entries are seen then are left out, as nobody can judge them."""
    trace, steps, relays = exchanged(make, run, tmp_path, "--attach", attach, "--min-duration", "1ns")
    found = statuses(calls_of(trace))
    assert found["main"] == {"complete": 1}
    assert found["work"] == {"complete": 3}
    assert found["step"] == {"complete": sum(steps)}
    assert found["same"] == {"complete": relays}
    assert found["relay"] == {"complete": relays + 12, "unwound": 11}
    assert 0 < sum(found["leap"].values()) < sum(steps)


@pytest.mark.parametrize("attach", ["session", "multi"])
def test_a_budget_stays_exact(make, run, tmp_path, attach):
    """Also of a function that gets another row when only its entries are seen."""
    budget = 499
    trace, steps, relays = exchanged(make, run, tmp_path, "--attach", attach, "--budget", str(budget))
    calls = calls_of(trace)
    assert sum(steps) > budget
    found = statuses(calls)
    assert found["step"] == {"complete": budget}
    assert found["main"] == {"complete": 1}
    assert found["work"] == {"complete": 3}
    assert found["relay"] == {"complete": relays + 12, "unwound": 11}
    assert calls.filter(pl.col("name") == "leap").height == budget
    check_conserved(trace)
