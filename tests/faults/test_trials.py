"""What was tried out on a throw-away process is what happens to real ones, on this kernel."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from funcsnoop.analyze.trace import Trace
from funcsnoop.bpf import trials


def site_of_work(trace: Trace) -> int:
    (work,) = (f for f in trace.metadata["functions"] if f["symbol"] == "work")
    return work["site"] - work["offset"]


def calls_of_work(trace: Trace) -> dict[int, int]:
    """By process, in the order in which they began."""
    calls = trace.calls().collect().select("name", "tgid", "status").rows()
    tgids = dict.fromkeys(tgid for _, tgid, _ in calls)
    return {
        i: sum(name == "work" and tgid == t and status == "complete" for name, t, status in calls)
        for i, tgid in enumerate(tgids)
    }


@pytest.mark.parametrize("attach", ["session", "multi"])
def test_forked_children_live_whatever_the_kernel_makes_of_nops(make, survives, attach):
    trace = survives([make("nops.c", "-O2")], "--attach", attach)
    assert site_of_work(trace) == (0 if trials.probes_on_nops().works else 5)
    assert calls_of_work(trace)[0] == 97


def test_the_fast_site_on_request(make, run, tmp_path):
    """--allow-nop5 does what it says, and says what that means here."""
    output = tmp_path / "t.parquet"
    done = run("record", "--allow-nop5", "-o", output, "--", make("nops.c", "-O2"))
    trace = Trace(output)
    assert site_of_work(trace) == 0
    assert calls_of_work(trace)[0] == 97
    fine = trials.probes_on_nops().works
    warned = [notice for notice in trace.metadata["notices"] if "--allow-nop5" in notice]
    assert len(warned) == (0 if fine else 1)
    assert done.stdout == ("291 0x2100\n" if fine else "291 0xb\n")


@pytest.mark.parametrize("how", ["filter", "strict"])
def test_seccomp_kills_at_a_return_probe_where_the_trial_says_so(make, run, how):
    done = run("record", "-q", "--exit", "return", "--", make("confined.c", "-O2"), how)
    assert (done.status == 8) == trials.returns_under_seccomp().works


def test_trials_leave_nothing_behind():
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def children() -> str:
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text()

    before = descriptors(), children()
    for trial in (trials.probes_on_nops, trials.returns_under_seccomp):
        again: Callable[[], object] = trial.__wrapped__
        assert again() == trial()
    assert (descriptors(), children()) == before
