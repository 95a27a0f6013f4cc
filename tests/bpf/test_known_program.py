"""A program whose every call is known, recorded in every way; the expected numbers follow from calls.c."""

from collections import Counter

import polars as pl
import pytest

FLAGS = ("-O1", "-g", "-fno-optimize-sibling-calls", "-pthread")

CALLS = {
    "before_main": 1,
    "main": 1,
    "leaf": 10_007 + 3 * 101 * 5,
    "factorial": 7 * 23,
    "is_even": 5 * 11,
    "is_odd": 5 * 10,
    "six": 97,
    "worker": 3,
    "middle": 3 * 101,
}
EDGES = {
    (None, "before_main"): 1,
    (None, "main"): 1,
    (None, "worker"): 3,
    ("main", "leaf"): 10_007,
    ("main", "factorial"): 7,
    ("factorial", "factorial"): 7 * 22,
    ("main", "is_even"): 5,
    ("is_even", "is_odd"): 50,
    ("is_odd", "is_even"): 50,
    ("main", "six"): 97,
    ("worker", "middle"): 303,
    ("middle", "leaf"): 303 * 5,
}


def check_all(trace):
    """Counts, edges, arguments, return values and depths are exactly those of the program."""
    counts = trace.metadata["counts"]
    assert counts["lost"] == {"buffer": 0}
    assert counts["produced"] == counts["recorded"] == 2 * sum(CALLS.values())
    latency = trace.latency().collect()
    assert dict(latency.select("function", "calls").iter_rows()) == CALLS
    assert latency.select(pl.sum("open", "unwound", "lost")).row(0) == (0, 0, 0)
    edges = trace.callgraph().collect()
    assert {
        (caller, callee): n for caller, callee, n in edges.select("caller", "callee", "calls").iter_rows()
    } == EDGES
    calls = trace.calls().collect()
    assert calls["status"].cast(str).unique().to_list() == ["complete"]
    check_values(calls)
    deepest = calls.filter(pl.col("name") == "factorial")
    assert Counter(deepest["depth"]) == dict.fromkeys(range(1, 24), 7)


def check_values(calls):
    def of(name):
        return calls.filter(pl.col("name").cast(str) == name).sort("start")

    for name, function in {
        "leaf": lambda a, b: 3 * a + b,
        "middle": lambda a, _: 15 * a + 10,
    }.items():
        rows = of(name).select("arg0", "arg1", "ret_val").rows()
        assert all(function(a, b) == returned for a, b, returned in rows)
    first = of("main")["call_id"].item()
    in_main = of("leaf").filter(pl.col("parent_id") == first)
    assert in_main["arg0"].to_list() == list(range(10_007))
    six = of("six").select("arg0", "arg1", "arg2", "arg3", "arg4", "arg5", "ret_val").rows()
    minus_one = 2**64 - 1
    assert six == [
        (i, minus_one, 1 << 40, 4, 5, 6, (i - 2 + (3 << 40) + 16 + 25 + 36) % 2**64) for i in range(97)
    ]
    factorials = of("factorial").select("arg0", "ret_val").rows()
    product = {1: 1}
    for n in range(2, 24):
        product[n] = n * product[n - 1] % 2**64
    assert sorted(factorials) == sorted([*product.items()] * 7)
    assert of("main")["ret_val"].item() & 0xFFFFFFFF == 3


@pytest.mark.parametrize("layout", ["lean", "full"])
@pytest.mark.parametrize("attach", ["session", "multi", "perf"])
def test_exact(build, record, attach, layout):
    trace = record(["--attach", attach, "--layout", layout], [build("calls.c", *FLAGS)], status=3)
    assert trace.metadata["attach"] == attach
    assert trace.metadata["layout"] == layout
    check_all(trace)


@pytest.mark.parametrize("attach", ["session", "multi", "perf"])
def test_exact_without_return_probes(build, record, attach):
    """Exits seen at return instructions: no return address is touched."""
    trace = record(["--exit", "ret", "--attach", attach], [build("calls.c", *FLAGS)], status=3)
    assert {function["exit"] for function in trace.metadata["functions"]} == {"ret"}
    check_all(trace)


@pytest.mark.parametrize("kind", [("-no-pie", "-fno-pie"), ("-static",), ("-static-pie",)])
def test_ways_to_link(build, record, kind):
    # A static program holds the C library, whose longjmp the analysis of unwinding finds.
    names = [f"-f{name}" for name in CALLS]
    trace = record(["--exit", "return", *names], [build("calls.c", *FLAGS, *kind)], status=3)
    check_all(trace)


def test_totals_of_recursion_count_the_outermost_call_once(build, record):
    trace = record(["-f", "factorial"], [build("calls.c", *FLAGS)], status=3)
    calls = trace.calls().collect()
    outer = calls.filter(pl.col("arg0") == 23)
    row = trace.latency().collect().row(0, named=True)
    assert row["calls"] == 161
    assert row["total_ns"] == outer["duration_ns"].sum()
    assert row["mean_ns"] == pytest.approx(calls["duration_ns"].mean())
    assert row["stddev_ns"] == pytest.approx(calls["duration_ns"].std(ddof=0))
    assert row["self_ns"] == row["total_ns"]


def test_both_layouts_give_the_same_file(build, record):
    """Equal but for addresses, times and ids: so one thread only, and no arguments that are addresses."""
    options = ["-f", "leaf", "-f", "fact*", "-f", "six"]
    lean, full = (
        record(["--layout", layout, *options], [build("calls.c", *FLAGS)], status=3)
        for layout in ("lean", "full")
    )
    same = ("type", "cookie", "name", "ret_val")
    tables = []
    for trace in (lean, full):
        events = pl.read_parquet(trace.path)
        assert events["name"].cast(str).unique().sort().to_list() == ["factorial", "leaf", "six"]
        main_thread = events.filter(pl.col("pid") == pl.col("tgid"))
        assert len(main_thread) == 2 * (10_007 + 161 + 97)
        real = main_thread.filter(pl.col("name").cast(str) != "factorial")
        tables.append((events.schema, main_thread.select(same).rows(), real.select("arg0", "ret_val").rows()))
    assert tables[0] == tables[1]


@pytest.mark.parametrize("arguments", [0, 1, 4])
def test_only_the_arguments_that_were_asked_for(build, record, arguments):
    trace = record(["--args", str(arguments), "-f", "six"], [build("calls.c", *FLAGS)], status=3)
    entries = trace.events.filter(pl.col("type").cast(str) == "entry").collect()
    for i in range(6):
        assert entries[f"arg{i}"].null_count() == (0 if i < arguments else 97)
    exits = trace.events.filter(pl.col("type").cast(str) == "exit").collect()
    assert exits["ret_val"].null_count() == 0
    assert exits.select(pl.col("^arg.$").null_count()).row(0) == (97,) * 6
    assert entries["ret_val"].null_count() == 97
