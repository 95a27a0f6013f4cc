"""What filters keep of the calls under way: it goes with their threads, and has its limits."""

import os
import subprocess
from collections import Counter
from contextlib import ExitStack

import polars as pl
import pytest

from funcsnoop.bpf import syscall
from funcsnoop.bpf.compile import Sizes
from funcsnoop.bpf.features import Strategy
from funcsnoop.bpf.filters import Filters
from funcsnoop.bpf.layout import LIVE_PLACE, LIVE_STACK, live_call_dtype
from funcsnoop.bpf.links import Links
from funcsnoop.bpf.probes import Leave, Probe
from funcsnoop.bpf.program import Programs
from funcsnoop.record.plan import make_plan
from funcsnoop.record.target import Target

FLAGS = ("-O1", "-fno-optimize-sibling-calls", "-pthread")
THREADS = 101
#: MAX_LIVE_CALLS, and MOST_CLEARED.
ROOM, CLEARED = 65_536, 64


def statuses(trace):
    calls = trace.calls().collect().with_columns(pl.col("name", "status").cast(str))
    return Counter(calls.select("name", "depth", "status").rows())


def conserved(trace):
    counts = trace.metadata["counts"]
    left_out = sum(counts["filtered"].values())
    assert counts["produced"] == counts["recorded"] + sum(counts["lost"].values()) + left_out
    assert sum(window["events"] for window in trace.metadata["loss_windows"]) == sum(counts["lost"].values())
    return counts


@pytest.mark.parametrize("option", [("--events", "spans"), ("--min-duration", "0ns"), ("--max-depth", "500")])
def test_threads_that_end_inside_of_calls(build, record, option):
    command = [build("ends.c", *FLAGS), str(THREADS)]
    everything = record([], command)
    assert conserved(everything)["lost"] == {"buffer": 0}
    trace = record(option, command)
    assert conserved(trace)["lost"] == {"buffer": 0}
    assert statuses(trace) == statuses(everything)
    assert sum(n for (_, _, status), n in statuses(trace).items() if status == "unwound") > THREADS


@pytest.mark.parametrize(
    ("filters", "most"),
    [
        (Filters(spans=True), 500),
        (Filters(min_duration_ns=3_600_000_000_000), 500),
        (Filters(max_depth=80), 80),
        (Filters(max_depth=CLEARED), CLEARED),
        (Filters(sample=1, max_depth=90), 90),
        (Filters(budget=1 << 20), 500),
        # Of what is left out, nothing is kept either.
        (Filters(budget=1), 1),
    ],
    ids=["spans", "slow", "depth", "what the kernel clears", "sample", "budget", "spent"],
)
def test_nothing_stays_of_threads_that_have_ended(build, wait_for, filters, most):
    """But for the levels past those that the kernel clears away itself, which the recorder is told of."""
    program = build("ends.c", *FLAGS)
    sizes = Sizes(filters=filters, arguments=0)
    with ExitStack() as undo:
        programs = undo.enter_context(Programs(sizes))
        for link in programs.watch_tasks(follow=False):
            undo.callback(os.close, link)
        links = undo.enter_context(Links(programs, Strategy.MULTI))
        plan = make_plan(Target.for_command([str(program), "1"], {}), ["deep"], [], exit_policy="ret")
        (function,) = plan.functions
        leaves = tuple(
            Leave(site.offset, site.kind == "jump", site.condition) for site in function.exit_sites
        )
        target = subprocess.Popen(["sh", "-c", "read x; exec $0 101", program], stdin=subprocess.PIPE)
        programs.follow(target.pid)
        links.attach(str(program), [Probe(function.site, 1, leaves=leaves, moved=function.moved)], None)
        target.communicate(b"\n", timeout=60)

        stacks = programs._map("stacks")
        kept = programs._map("live_calls")
        wait_for(lambda: not syscall.take_all(stacks, 4, LIVE_STACK.itemsize))
        deeper = sum(max(0, min(most, 3 + number % 97) - CLEARED) for number in range(THREADS))
        place, call = LIVE_PLACE.itemsize, live_call_dtype(0).itemsize
        taken = syscall.take_all(kept, place, call)
        assert len(taken) == deeper
        for key, value in taken:
            syscall.update_map(kept, key, value)
        assert len(programs.take_ended_threads()) > THREADS
        assert syscall.take_all(kept, place, call) == []


@pytest.mark.parametrize("filters", [("--events", "spans"), ("--max-depth", "2"), ("--min-duration", "0ns")])
@pytest.mark.parametrize("exits", ["return", "ret"])
def test_children_begin_anew(build, record, filters, exits):
    command = [build("family.c", "-O1", "-pthread"), "3"]
    names = ["-f", "visit", "-f", "spawn", "-f", "main", "--exit", exits]
    everything = record(names, command, status=7)
    trace = record([*names, *filters], command, status=7)
    most = 2 if "--max-depth" in filters else 1 << 20
    expected = {key: n for key, n in statuses(everything).items() if key[1] < most}
    assert statuses(trace) == expected
    assert conserved(trace)["lost"] == {"buffer": 0}
    assert sum(n for (name, _, _), n in expected.items() if name == "visit") == 23 + 33 + 60


@pytest.mark.parametrize("filters", [("--events", "spans"), ("--max-depth", "1"), ("--min-duration", "0ns")])
def test_a_new_program_has_no_old_calls(build, record, filters):
    command = [build("execs_from_thread.c", "-O1", "-pthread"), "start"]
    names = ["-f", "main", "-f", "step", "--exit", "ret"]
    everything = record(names, command)
    trace = record([*names, *filters], command)
    most = 1 if "--max-depth" in filters else 1 << 20
    assert statuses(trace) == {key: n for key, n in statuses(everything).items() if key[1] < most}
    assert conserved(trace)["lost"] == {"buffer": 0}


@pytest.mark.parametrize("filters", [("--events", "spans"), ("--min-duration", "0ns"), ("--max-depth", "3")])
def test_a_tiny_ring(build, record, filters):
    """What is lost is counted, and what came through is right."""
    options = ["--buffer", "4K", *filters, "-f", "hot"]
    trace = record(options, [build("rate.c", "-O1", "-pthread"), "2", "50021"])
    counts = conserved(trace)
    assert counts["produced"] == 4 * 50_021
    assert counts["lost"]["buffer"] > 0
    calls = trace.calls().filter(pl.col("status").cast(str) == "complete").collect()
    assert len(calls) > 100
    assert calls.filter(pl.col("ret_val") != pl.col("arg0").xor(pl.lit(1, pl.UInt64))).is_empty()


def test_more_calls_than_there_is_room_for(build, record):
    depth = ROOM + 4465
    options = ["--events", "spans", "--args", "0", "--exit", "ret", "-f", "deep"]
    trace = record(options, [build("ends.c", *FLAGS), "dive", str(depth)])
    counts = conserved(trace)
    kept = depth - counts["lost"]["calls"]
    assert ROOM - 16 < kept <= ROOM  # the kernel may be short of a few
    assert counts["lost"]["buffer"] == 0
    assert counts["produced"] == 2 * depth
    found = Counter(trace.calls().collect()["status"].cast(str))
    assert found == {"complete": kept, "lost": depth - kept}


def test_switched_stacks(build, record):
    """Spans have all that there is. How long a call took during which stacks were switched is not known."""
    command = [build("../faults/programs/coroutines.c", "-O1")]
    names = ["-f", "yield", "-f", "step", "-f", "body"]
    everything = record(names, command, status=6).calls().collect()
    spans = record([*names, "--events", "spans"], command, status=6)
    assert conserved(spans)["lost"] == {"buffer": 0}
    same = ["name", "arg0", "ret_val", "status"]
    assert spans.calls().collect().select(same).sort(same).equals(everything.select(same).sort(same))
    slow = record([*names, "--min-duration", "1s"], command, status=6)
    assert conserved(slow)["recorded"] == 0
    assert any(
        "calls returned that --min-duration could not judge" in note for note in slow.metadata["notices"]
    )
