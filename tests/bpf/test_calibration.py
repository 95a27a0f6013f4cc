"""What probes cost is measured before a recording, and leaves no trace in it."""

import pytest

from funcsnoop.bpf.calibration import ProbeKind, measure
from funcsnoop.bpf.features import Strategy
from funcsnoop.bpf.program import Programs, Sizes


@pytest.mark.parametrize("attach", ["session", "multi", "perf"])
def test_dearer_probes_are_seen_to_be_dearer(attach):
    cheap, stepped = ProbeKind("emulated", "return"), ProbeKind("stepped", "return")
    ret, entry = ProbeKind("emulated", "ret"), ProbeKind("emulated", "none")
    with Programs(Sizes(ring_bytes=1 << 20)) as programs:
        costs = {c.kind: c for c in measure(programs, Strategy(attach), [cheap, stepped, ret, entry])}
        assert not any(programs.counts())
        assert not len(programs.ring().take())
    # A single step is ten times an emulation, and an entry is half of a call.
    assert costs[stepped].call_ns > 3 * costs[cheap].call_ns
    assert costs[ret].call_ns > 3 * costs[cheap].call_ns
    assert costs[entry].call_ns < costs[cheap].call_ns
    # After the clock was read at the entry, the step at the site, and before it was read at the exit.
    assert 0 < costs[cheap].inside_ns < costs[cheap].call_ns
    assert costs[stepped].inside_ns > 3 * costs[cheap].inside_ns
    assert costs[entry].inside_ns == 0


@pytest.mark.parametrize("events", ["sides", "spans"])
def test_recordings_hold_the_costs_of_their_own_probes(build, record, events):
    options = ["--exit", "return", "--events", events, "-f", "tick"]
    trace = record(options, [build("ticks.c", "-O1"), "97", "0", "0"])
    (cost,) = trace.metadata["probe_costs"]
    (function,) = trace.metadata["functions"]
    assert (cost["site_class"], cost["exit"]) == (function["site_class"], "return")
    assert 0 < cost["inside_ns"] < cost["call_ns"]
    # The calls that were made for it are in no count.
    assert trace.metadata["counts"]["produced"] == trace.metadata["counts"]["recorded"] == 2 * 97
    assert len(trace.metadata["processes"]) == 1


def test_with_filters_there_are_none(build, record):
    trace = record(["--max-depth", "3", "-f", "tick"], [build("ticks.c", "-O1"), "97", "0", "0"])
    assert trace.metadata["probe_costs"] == []
    assert trace.metadata["counts"]["recorded"] == 2 * 97
