"""Calls left out in the kernel, and calls sent in one: as a recording of everything has them."""

import signal
import sys
from pathlib import Path

import polars as pl
import pytest

import funcsnoop

from .test_known_program import CALLS, FLAGS, check_all

FUNCSNOOP = Path(sys.executable).with_name("funcsnoop")

#: tree.c numbers its calls, which follow from a seed: with recursion, longjmp, and tail calls at -O2.
TREE = ["-f", "/^(a|b|c|last|jumped_to)$/", "--args", "1"]
THREADS, ROOTS, PER_THREAD = 2, 23, 10_000_000
NESTED, TAILS = "-O1 -fno-optimize-sibling-calls", "-O2"
#: Where a longjmp leaves a chain of tail calls that return probes wait for, pairing cannot tell the chain
#: from calls one after the other; so there are none in that case.
WAYS = {
    "session": (NESTED, "session", "return", True),
    "session-tails": (TAILS, "session", "return", False),
    "session-ret": (TAILS, "session", "ret", True),
    "multi": (NESTED, "multi", "return", True),
    "multi-tails": (TAILS, "multi", "return", False),
    "multi-ret": (TAILS, "multi", "ret", True),
    "perf": (NESTED, "perf", "return", True),
    "perf-ret": (TAILS, "perf", "ret", True),
}
SAME = ["id", "name", "depth", "parent", "status", "ret_val"]


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def way(build, request):
    """Options, the command, and what must become of the calls."""
    flags, attach, exits, jumps = request.param
    command = [build("tree.c", *flags.split(), "-pthread"), "3", str(THREADS), str(ROOTS), str(int(jumps))]
    options = [*TREE, "--attach", attach, "--exit", exits]
    return options, command, {"complete", "unwound"} if jumps else {"complete"}


def calls_of(trace):
    """The calls by number, with the number of their parent."""
    calls = trace.calls().collect().with_columns(pl.col("name", "status").cast(str), id="arg0")
    parents = calls.select(parent_id="call_id", parent="id")
    return calls.join(parents, on="parent_id", how="left").sort("id").select(SAME)


def check_counts(trace):
    """Every event is somewhere; what was left out."""
    counts = trace.metadata["counts"]
    assert sum(counts["lost"].values()) == 0
    assert counts["produced"] == counts["recorded"] + sum(counts["filtered"].values())
    return counts["filtered"]


def events_of(calls):
    return len(calls) + (calls["status"] == "complete").sum()


def test_what_filters_keep(way, record):
    options, command, statuses = way
    everything = calls_of(record(options, command))
    assert set(everything["status"]) == statuses
    assert everything["id"].null_count() == 0

    spans = record([*options, "--events", "spans"], command)
    assert spans.metadata["events"] == "spans"
    assert check_counts(spans) == {}
    assert calls_of(spans).equals(everything)

    shallow = record([*options, "--max-depth", "3"], command)
    assert calls_of(shallow).equals(everything.filter(pl.col("depth") < 3))
    deep = everything.filter(pl.col("depth") >= 3)
    # Return probes that nobody wants are not asked for where the kernel lets the program choose.
    spared = shallow.metadata["attach"] == "session" and "return" in options
    assert check_counts(shallow) == {"max-depth": len(deep) if spared else events_of(deep)}

    shallow = record([*options, "--max-depth", "1", "--events", "spans"], command)
    assert calls_of(shallow).equals(everything.filter(pl.col("depth") < 1))

    check_sample(record([*options, "--sample", "1/5", "--events", "spans"], command), everything)
    check_sample(record([*options, "--sample", "1/5"], command), everything)


def check_sample(trace, everything):
    """One outermost call of five, whole."""
    sample = calls_of(trace)
    roots = sample.filter(pl.col("parent").is_null())["id"]
    all_roots = everything.filter(pl.col("parent").is_null())["id"]
    # After a tail call whose jump was seen, what it jumped to is an outermost call as well.
    assert len(all_roots) >= THREADS * ROOTS
    assert set(roots) < set(all_roots)
    # Calls are numbered in order, so that a tree ends where the next one of its thread begins.
    root = all_roots.gather(all_roots.search_sorted(everything["id"], "right") - 1)
    assert sample.equals(everything.filter(root.is_in(roots.implode())))
    for thread in range(1, THREADS + 1):
        of_thread = [int((ids // PER_THREAD == thread).sum()) for ids in (all_roots, roots)]
        # One of each round, and perhaps one of the last, which is not whole.
        assert of_thread[0] // 5 <= of_thread[1] <= -(of_thread[0] // -5)
    filters = trace.metadata["filters"]
    assert (filters["sample"], filters["roots"]) == (5, len(all_roots))
    assert filters["sampled_roots"] == len(roots)
    assert check_counts(trace)["sample"] > 0


@pytest.mark.parametrize(("attach", "exits"), [("session", "return"), ("multi", "ret"), ("perf", "return")])
def test_spans_of_a_known_program(build, record, attach, exits):
    options = ["--attach", attach, "--exit", exits, "--events", "spans"]
    check_all(record(options, [build("calls.c", *FLAGS)], status=3))


@pytest.mark.parametrize(("attach", "exits"), [("session", "return"), ("multi", "ret"), ("perf", "return")])
def test_depth_of_a_known_program(build, record, attach, exits):
    options = ["--attach", attach, "--exit", exits, "--max-depth", "2"]
    trace = record(options, [build("calls.c", *FLAGS)], status=3)
    latency = trace.latency().collect()
    deeper = {"leaf": 10_007, "factorial": 7, "is_even": 5, "is_odd": None}
    expected = {name: n for name, n in (CALLS | deeper).items() if n}
    assert dict(latency.select("function", "calls").iter_rows()) == expected
    left_out = sum(CALLS.values()) - sum(expected.values())
    sides = 1 if attach == "session" and exits == "return" else 2
    assert check_counts(trace) == {"max-depth": left_out * sides}


#: Calls that sleep for 3 ms are slow, those that do nothing fast; a few may be either, as the program tells.
SLOW_CALLS, THRESHOLD = 101, 2_000_000


def slow_and_fast(output):
    """Numbers of calls that surely took longer, and surely less long, than the threshold."""
    rows = [tuple(map(int, line.split())) for line in output.splitlines() if line[0].isdigit()]
    assert len(rows) == SLOW_CALLS
    slow = {i for i, least, _ in rows if least >= THRESHOLD}
    fast = {i for i, _, most in rows if most < THRESHOLD}
    assert slow >= set(range(3, SLOW_CALLS, 7))
    assert fast
    return slow, fast


@pytest.mark.parametrize(("attach", "exits"), [("session", "return"), ("multi", "ret"), ("perf", "return")])
def test_slow_calls(build, run, tmp_path, attach, exits):
    options = ["--min-duration", "2ms", "--attach", attach, "--exit", exits, "-f", "work", "-f", "outer"]
    done = run("record", *options, "--", build("slow.c", "-O1", "-pthread"), str(SLOW_CALLS))
    assert done.status == 0, done.stderr
    slow, fast = slow_and_fast(done.stdout)
    trace = funcsnoop.open(tmp_path / "trace.parquet")
    calls = trace.calls().collect().with_columns(pl.col("name", "status").cast(str))
    assert set(calls["status"]) == {"complete"}
    assert calls["duration_ns"].min() >= THRESHOLD
    for name, plus in (("work", 1), ("outer", 2)):
        rows = calls.filter(pl.col("name") == name)
        assert (rows["ret_val"] == rows["arg0"] + plus).all()
        assert slow <= set(rows["arg0"])
        # Seen from outside of outer() it is longer; what outer() calls fast may be slow with the probes.
        assert not fast & set(rows["arg0"]) or name == "outer"
    callers = calls.select("call_id", caller="name", number="arg0")
    inner = calls.filter(pl.col("name") == "work").join(callers, left_on="parent_id", right_on="call_id")
    assert set(inner["caller"]) == {"outer"}
    assert inner["arg0"].equals(inner["number"])
    assert check_counts(trace) == {"min-duration": 2 * (2 * SLOW_CALLS - len(calls))}


@pytest.mark.parametrize("exits", ["return", "ret"])
def test_slow_calls_that_run_on(build, start, tmp_path, exits, wait_for):
    """At the end of the recording: what is over the threshold is there, and open."""
    output = tmp_path / "t.parquet"
    options = ["--min-duration", "2ms", "--duration", "1500ms", "--exit", exits]
    names = ["-f", "main", "-f", "work", "-f", "last", "-f", "stuck"]
    program = build("slow.c", "-O1", "-pthread")
    process = start(
        [FUNCSNOOP, "record", *options, *names, "-o", output, "--", program, str(SLOW_CALLS), "on"]
    )
    wait_for(output.exists)
    trace = funcsnoop.open(output)
    calls = trace.calls().collect().with_columns(pl.col("name", "status").cast(str))
    running = calls.filter(pl.col("status") == "open").select("name", "depth").rows()
    assert sorted(running) == [("last", 1), ("main", 0), ("stuck", 0)]
    assert set(calls.filter(pl.col("status") != "open")["name"]) == {"work"}
    check_counts(trace)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


@pytest.mark.parametrize("attach", ["session", "multi", "perf"])
@pytest.mark.parametrize("exits", ["return", "ret"])
def test_budget(build, record, attach, exits):
    options = ["--budget", "89", "--attach", attach, "--exit", exits]
    trace = record(options, [build("calls.c", *FLAGS)], status=3)
    latency = trace.latency().collect()
    assert dict(latency.select("function", "calls").iter_rows()) == {
        name: min(count, 89) for name, count in CALLS.items()
    }
    assert latency.select(pl.sum("open", "unwound", "lost")).row(0) == (0, 0, 0)
    symbols = {function["cookie"]: function["symbol"] for function in trace.metadata["functions"]}
    cuts = trace.metadata["filters"]["budget_cuts"]
    assert {symbols[cut["cookie"]] for cut in cuts} == {name for name, count in CALLS.items() if count > 89}
    calls = trace.calls().collect()
    for cut in cuts:
        assert calls.filter(pl.col("cookie") == cut["cookie"])["start"].max() < cut["time_ns"]
    # Taken out, a function is not seen any more.
    assert 0 < check_counts(trace)["budget"] <= 2 * sum(max(0, count - 89) for count in CALLS.values())
