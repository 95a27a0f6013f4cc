"""Every report against a second implementation in plain Python, on random call trees."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcsnoop
from funcsnoop import schemas
from funcsnoop.analyze import arguments, callgraph, latency, ranks
from funcsnoop.analyze.casts import Cast, apply, limits
from funcsnoop.analyze.threads import threads
from funcsnoop.cli.exports import to_arrow
from funcsnoop.errors import UsageError

from .both import WAYS, Way
from .traces import Recording, function
from .trees import PROGRAMS, Node, record

U64 = 2**64 - 1


def nearest_rank(values: list[int], percent: float) -> int:
    return sorted(values)[max(math.ceil(round(percent * len(values), 9)) - 1, 0)]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """Each way to make figures."""
    return WAYS[request.param]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@settings(deadline=None, max_examples=60)
@given(program=PROGRAMS, seed=st.integers(0, 2**32))
def test_latency_and_callgraph_against_plain_python(way: Way, program: list[list[Node]], seed: int) -> None:
    recording, tables, _ = record(program, random.Random(seed))
    about = recording.about()
    figures = way(recording)
    names = [(f["demangled"], f["module"].rpartition("/")[2]) for f in recording.table()]

    by_function: dict[int, list[Any]] = {}
    totals: dict[Any, int] = {}
    edges: dict[Any, list[Any]] = {}
    for calls in tables:
        for call in calls:
            by_function.setdefault(call.function, []).append(call)
            above, on_edge, around = call.parent, False, []
            caller = None if call.parent is None else calls[call.parent].function
            while above is not None:
                around.append(calls[above].function)
                parent = calls[above].parent
                on_edge |= (None if parent is None else calls[parent].function, calls[above].function) == (
                    caller,
                    call.function,
                )
                above = parent
            duration = call.end - call.start
            if call.function not in around:
                totals[call.function] = totals.get(call.function, 0) + duration
            edge = edges.setdefault((caller, call.function), [0, 0, 0])
            edge[0] += 1
            edge[1] += 0 if on_edge else duration
            edge[2] += call.self_ns
    expected = {}
    for called, calls_of in by_function.items():
        times = [call.end - call.start for call in calls_of]
        expected[names[called]] = (
            len(times),
            totals[called],
            sum(call.self_ns for call in calls_of),
            pytest.approx(fmean(times)),
            pytest.approx(pstdev(times)),
            min(times),
            *(nearest_rank(times, percent) for percent in (0.5, 0.9, 0.95, 0.99, 0.999)),
            max(times),
            *(0, 0, 0),
        )
    found = latency.latency(figures).collect()
    assert found.columns == schemas.LATENCY.names
    assert {tuple(row[:2]): row[2:] for row in found.rows()} == expected
    assert found["total_ns"].is_sorted(descending=True)

    graph = callgraph.edges(figures).collect()
    assert graph.columns == schemas.CALLGRAPH.names
    assert {row[:4]: list(row[4:]) for row in graph.rows()} == {
        ((None, None) if caller is None else names[caller]) + names[callee]: values
        for (caller, callee), values in edges.items()
    }

    tree = callgraph.tree(figures).collect()
    assert tree["calls"].sum() == found["calls"].sum()
    assert tree["self_ns"].sum() == found["self_ns"].sum()
    places = {row["node"]: row for row in tree.iter_rows(named=True)}
    for row in places.values():
        path = [row["function"]]
        above = row["parent"]
        while above is not None:
            path.append(places[above]["function"])
            above = places[above]["parent"]
        assert len(set(path)) == len(path), "recursion is folded"

    busy = threads(pl.DataFrame(figures.threads), about).collect()
    assert busy.columns == schemas.THREADS.names
    assert {row["pid"]: row["busy_ns"] for row in busy.iter_rows(named=True)} == {
        100 + thread: sum(call.end - call.start for call in calls if call.depth == 0)
        for thread, calls in enumerate(tables)
    }
    assert busy["events"].sum() == len(recording.rows)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=3000))
def test_percentiles_are_nearest_ranks(values: list[int]) -> None:
    ordered, starts = ranks.sort_within(np.zeros(len(values), np.int64), np.array(values))
    assert starts.tolist() == [0, len(values)]
    for name, per_mille in ranks.PERCENTILES.items():
        index = int(ranks.rank(np.array([len(values)]), per_mille)[0])
        assert ordered[index] == nearest_rank(values, per_mille / 1000), name


def test_the_999th_per_mille_of_1000_values_is_the_999th() -> None:
    assert ranks.rank(np.array([1, 2, 999, 1000, 1001]), 999).tolist() == [0, 1, 998, 998, 999]


@pytest.mark.parametrize("greatest", [10, 2**40, 2**62])
def test_sorting_within_groups(greatest: int) -> None:
    rng = np.random.default_rng(3)
    group, value = rng.integers(0, 9, 500), rng.integers(0, greatest, 500)
    ordered, starts = ranks.sort_within(group, value)
    for number in range(9):
        assert ordered[starts[number] : starts[number + 1]].tolist() == sorted(value[group == number])


def test_recursion_counts_once_in_totals_and_each_time_in_means(way: Way) -> None:
    recording = Recording()
    recording.entry("f", 0, 1000).entry("f", 10, 900).entry("g", 20, 800).entry("f", 30, 700)
    recording.exit("f", 40, 700).exit("g", 50, 800).exit("f", 60, 900).exit("f", 100, 1000)
    figures = way(recording)
    row = latency.latency(figures).collect().row(0, named=True)
    assert (row["function"], row["calls"], row["total_ns"]) == ("f", 3, 100)
    assert row["mean_ns"] == (100 + 50 + 10) / 3
    assert row["self_ns"] == 100 - 50 + 50 - 30 + 10
    edges = callgraph.edges(figures).collect()
    totals = {(r["caller"], r["callee"]): r["total_ns"] for r in edges.iter_rows(named=True)}
    assert totals == {(None, "f"): 100, ("f", "f"): 50, ("f", "g"): 30, ("g", "f"): 10}


def test_time_under_a_call_that_never_ended_still_counts(way: Way) -> None:
    recording = Recording()
    recording.entry("f", 0, 1000).entry("f", 10, 900).exit("f", 30, 900)
    row = latency.latency(way(recording)).collect().row(0, named=True)
    assert (row["calls"], row["total_ns"], row["open"]) == (2, 20, 1)


def test_a_function_without_complete_calls_has_no_times(way: Way) -> None:
    recording = Recording()
    recording.entry("f", 0, 1000)
    row = latency.latency(way(recording)).collect().row(0, named=True)
    assert {k: v for k, v in row.items() if v is not None} == {
        "function": "f",
        "module": "libdemo.so.1",
        "calls": 1,
        "open": 1,
        "unwound": 0,
        "lost": 0,
    }


Rows = Callable[..., dict[tuple[str, str], dict[str, Any]]]


@pytest.fixture
def argument_rows(way: Way) -> Rows:
    def argument_rows_(recording: Recording, *texts: str) -> dict[tuple[str, str], dict[str, Any]]:
        casts = [Cast.parse(text) for text in texts]
        figures = way(recording, ["arg0", "arg1", "ret_val"], casts)
        found = arguments.arguments(figures, casts).collect()
        assert found.columns == schemas.ARGS.names
        to_arrow(found, schemas.ARGS)  # the types are those of the schema
        return {(row["function"], row["arg"]): row for row in found.iter_rows(named=True)}

    return argument_rows_


def called_with(*values: int, ret: int = 0) -> Recording:
    recording = Recording()
    for place, value in enumerate(values):
        recording.entry("f", 100 * place, 1000, value).exit("f", 100 * place + place + 1, 1000, ret)
    return recording


def test_arguments_are_exact_at_the_ends_of_64_bits(argument_rows: Rows) -> None:
    recording = called_with(U64, U64, 2**63, 0, ret=2**63)
    raw = argument_rows(recording)["f", "arg0"]
    assert (raw["min"], raw["p50"], raw["max"]) == (Decimal(0), Decimal(2**63), Decimal(U64))
    assert raw["top"][0] == {"value": Decimal(U64), "count": 2}
    signed = argument_rows(recording, "f:arg0=i64", "f:ret_val=i64")
    assert (signed["f", "arg0"]["min"], signed["f", "arg0"]["max"]) == (Decimal(-(2**63)), Decimal(0))
    assert signed["f", "ret_val"]["min"] == Decimal(-(2**63))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("i8", -2), ("u8", 0xFE), ("i16", -2), ("u16", 0xFFFE), ("i32", -2), ("u32", 0xFFFFFFFE),
        ("i64", 0x1234_5678_FFFF_FFFE), ("u64", 0x1234_5678_FFFF_FFFE), ("ptr", 0x1234_5678_FFFF_FFFE),
        ("bool", 1),
    ],
)  # fmt: skip
def test_casts_read_the_low_bits(kind: str, expected: int) -> None:
    register = np.array([0x1234_5678_FFFF_FFFE], np.uint64)
    assert apply(register, kind).tolist() == [expected]
    low, high = limits(kind)
    assert low <= expected <= high


def test_a_bool_is_one_byte() -> None:
    assert apply(np.array([0x100, 0x101, 0], np.uint64), "bool").tolist() == [0, 1, 0]


def test_the_last_cast_that_applies_wins(argument_rows: Rows) -> None:
    rows = argument_rows(called_with(U64), "*:arg0=u8", "f:arg0=i8")
    assert rows["f", "arg0"]["min"] == -1


def test_few_values_each_have_a_group(argument_rows: Rows) -> None:
    row = argument_rows(called_with(5, 7, 5))["f", "arg0"]
    assert row["groups"] == [
        {"low": 5, "high": 5, "calls": 2, "p50_ns": 1, "p99_ns": 3},
        {"low": 7, "high": 7, "calls": 1, "p50_ns": 2, "p99_ns": 2},
    ]
    assert (row["count"], row["nulls"], row["distinct"], row["mean"]) == (3, 0, 2, pytest.approx(17 / 3))


def test_many_values_group_by_power_of_two(argument_rows: Rows) -> None:
    values = [*range(20), U64]
    rows = argument_rows(called_with(*values))["f", "arg0"]["groups"]
    assert [(row["low"], row["high"], row["calls"]) for row in rows] == [
        (0, 0, 1), (1, 1, 1), (2, 3, 2), (4, 7, 4), (8, 15, 8), (16, 31, 4), (2**63, U64, 1),
    ]  # fmt: skip
    signed = [*(-v & U64 for v in range(1, 20)), 2**63, 3]
    row = argument_rows(called_with(*signed), "f:arg0=i64")["f", "arg0"]
    assert [(group["low"], group["high"], group["calls"]) for group in row["groups"]] == [
        (-(2**63), -(2**63), 1), (-31, -16, 4), (-15, -8, 8), (-7, -4, 4), (-3, -2, 2), (-1, -1, 1),
        (2, 3, 1),
    ]  # fmt: skip


def test_calls_that_did_not_complete_have_arguments_but_no_latency(argument_rows: Rows) -> None:
    recording = called_with(5)
    recording.entry("f", 900, 1000, 5)
    row = argument_rows(recording)["f", "arg0"]
    assert (row["count"], row["groups"][0]["calls"]) == (2, 1)
    assert argument_rows(recording)["f", "ret_val"]["nulls"] == 1


@pytest.mark.parametrize(
    "text", ["f", "f:arg0", "f:arg9=i32", "f:arg0=i33", "f=i32", ":arg0=i32", "f:retval=i32", "f:arg0="]
)
def test_bad_casts_are_usage_errors(text: str) -> None:
    with pytest.raises(UsageError):
        Cast.parse(text)


def test_a_cast_may_name_a_cplusplus_function() -> None:
    cast = Cast.parse("ns::Box<int>::get(int):arg1=i32")
    assert (cast.pattern, cast.arg, cast.kind) == ("ns::Box<int>::get(int)", "arg1", "i32")
    assert Cast.parse("ns::*:arg1=u8").applies("ns::f(int)", "_ZN2ns1fEi", "arg1")
    assert Cast.parse("operator[]:arg1=u8").applies("operator[](int)", "_Zixi", "arg1")


def test_a_cast_that_applies_to_nothing_is_an_error(tmp_path: Path) -> None:
    trace = funcsnoop.open(called_with(1).write(tmp_path / "t.parquet"))
    with pytest.raises(UsageError, match="matches no function"):
        trace.arguments(["nosuch:arg0=i32"])


def test_every_table_has_the_types_of_its_schema(tmp_path: Path) -> None:
    recording = called_with(1, 2)
    recording.entry("g", 5000, 1000).exit("h", 5001, 900)
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    for name, table in {
        "CALLS": trace.calls(),
        "LATENCY": trace.latency(),
        "CALLGRAPH": trace.callgraph(),
        "ARGS": trace.arguments(),
        "THREADS": trace.threads(),
    }.items():
        assert isinstance(table, pl.LazyFrame)
        schema = getattr(schemas, name)
        assert to_arrow(table.collect(), schema).schema.equals(schema), name


def test_an_empty_trace_gives_empty_reports(tmp_path: Path) -> None:
    trace = funcsnoop.open(Recording().write(tmp_path / "t.parquet"))
    for table in (
        trace.events,
        trace.calls(),
        trace.latency(),
        trace.callgraph(),
        trace.arguments(),
        trace.threads(),
    ):
        assert table.collect().height == 0
    assert str(trace.loss) == "left out: nothing; no events lost"


def test_entry_only_functions_say_so(tmp_path: Path) -> None:
    recording = Recording(functions=["f", function(2, "g", exit="none")])
    recording.entry("g", 1, 1000).entry("g", 2, 1000).entry("f", 3, 1000).exit("f", 4, 1000)
    trace = funcsnoop.open(recording.write(tmp_path / "t.parquet"))
    assert str(trace.loss) == "left out: nothing (2 calls entry-only); no events lost"
    rows = {row["function"]: row for row in trace.latency().collect().iter_rows(named=True)}
    assert (rows["g"]["calls"], rows["g"]["p50_ns"], rows["g"]["open"]) == (2, None, 0)


def test_marked_tables_tell_functions_of_one_name_apart(tmp_path: Path) -> None:
    twins = [function(1, "twin_a", demangled="twin"), function(2, "twin_b", demangled="twin")]
    recording = Recording(functions=twins)
    recording.entry("twin_a", 10, 1000, 3).entry("twin_b", 20, 900, 4).exit("twin_b", 30, 900, 5)
    trace = funcsnoop.open(recording.exit("twin_a", 50, 1000, 6).write(tmp_path / "t.parquet"))
    latency = trace.latency(marked=True).collect()
    assert latency.select("function", "total_ns", "cookie").rows() == [("twin", 40, 1), ("twin", 10, 2)]
    graph = trace.callgraph(marked=True).collect()
    assert graph.select("caller_cookie", "callee_cookie", "calls").rows() == [(None, 1, 1), (1, 2, 1)]
    values = trace.arguments(marked=True).collect().filter(pl.col("arg") == "ret_val")
    assert sorted(values.select("cookie", "max").rows()) == [(1, 6), (2, 5)]
    for table in (trace.latency(), trace.callgraph(), trace.arguments()):
        assert not {"cookie", "caller_cookie", "callee_cookie"} & set(table.collect_schema().names())
