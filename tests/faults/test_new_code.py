"""Code that unwinds comes into a process that is recorded with return probes: they are exchanged in time."""

from __future__ import annotations

import subprocess

import polars as pl
import pytest

import funcsnoop

from .conftest import RUNS


@pytest.mark.parametrize("attach", ["session", "multi", *(["perf"] if RUNS > 1 else [])])
@pytest.mark.parametrize("attempt", range(RUNS))
def test_a_library_that_throws_is_loaded_in_the_middle(make, run, tmp_path, attach, attempt):
    """Threads call all the while; each call is seen once, at both sides, whichever links saw them."""
    library = make("thrower.cc", "-O2", "-shared", "-fPIC", name="libthrower.so")
    program = make("loads_late.c", "-O2")
    output, counts = tmp_path / "t.parquet", tmp_path / "counts"
    command = [program, library, counts]
    alone = subprocess.run(command, capture_output=True, text=True, timeout=60)
    recorded = run("record", "-q", "--attach", attach, "--buffer", "64M", "-o", output, "--", *command)
    assert (recorded.stdout, recorded.status) == (alone.stdout, alone.returncode) == ("133\n", 10)

    trace = funcsnoop.open(output)
    assert trace.loss.lost == {"buffer": 0}
    (notice,) = trace.metadata["notices"]
    assert "return probes were taken out (lib" in notice
    *steps, relays = map(int, counts.read_text().split())
    calls = trace.calls().select("name", "pid", pl.col("status").cast(pl.String)).collect()
    found = {
        name: dict(calls.filter(pl.col("name") == name)["status"].value_counts().iter_rows())
        for name in calls["name"].unique()
    }
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
