"""Figures of the compiled walk are those of NumPy, for any events and selection; and parts add up."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from funcsnoop.analyze import arguments, callgraph, engine, latency, registers_held, threads
from funcsnoop.analyze.casts import Cast
from funcsnoop.analyze.figures import Figures, merge
from funcsnoop.analyze.question import Partition
from funcsnoop.analyze.registers_held import sketch_of
from funcsnoop.analyze.selection import Selection
from funcsnoop.schemas import VALUES

from .both import by_numpy, by_walk
from .test_walk import soup
from .traces import Recording, function
from .trees import PROGRAMS, Node, record

SEEDS = st.integers(0, 2**32)
CASTS = [Cast.parse(text) for text in ("f:arg0=i8", "*:ret_val=i64", "h:arg0=bool", "g:arg1=u16")]


def tables(figures: Figures, recording: Recording, casts: Iterable[Cast] = ()) -> dict[str, pl.DataFrame]:
    """Every report, rows in an order of their own."""
    return {
        "latency": latency.latency(figures, marked=True).collect(),
        "edges": callgraph.edges(figures, marked=True).collect(),
        "tree": paths(figures),
        "threads": threads.threads(pl.DataFrame(figures.threads), recording.about()).collect(),
        "args": arguments.arguments(figures, list(casts), marked=True).collect(),
        "silent": pl.DataFrame({"silent": [figures.count("silent")]}),
    }


def paths(figures: Figures) -> pl.DataFrame:
    """The tree, each place by the functions on the way to it."""
    tree = callgraph.tree(figures).collect()
    names: list[str] = []
    for parent, called in zip(tree["parent"].to_list(), tree["function"].to_list(), strict=True):
        name = figures.functions[called].symbol
        names.append(name if parent is None else f"{names[parent]} > {name}")
    return (
        tree.select("calls", "total_ns", "self_ns", "level").with_columns(path=pl.Series(names)).sort("path")
    )


def same(found: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame]) -> None:
    for name, table in expected.items():
        assert_frame_equal(found[name], table)


def random_selection(rng: random.Random, functions: int) -> Selection:
    chosen = Selection()
    for _ in range(rng.choice([0, 0, 1, 2])):
        rows = rng.sample(range(functions), rng.randint(1, functions))
        chosen = chosen.of_functions(rows, beneath=rng.random() < 0.5)
    if rng.random() < 0.3:
        chosen = chosen.of_threads([7, 8])
    times = sorted(rng.choices([None, rng.randrange(1500), rng.randrange(1500)], k=2), key=lambda t: t or 0)
    return chosen.between(*times)


@settings(deadline=None, max_examples=300)
@given(SEEDS)
def test_events_that_make_no_sense(seed: int) -> None:
    rng = random.Random(seed)
    recording = soup(rng)
    chosen = random_selection(rng, len(recording.functions))
    columns = rng.sample(VALUES, rng.randint(0, 3))
    found = by_walk(recording, columns, CASTS, chosen, rows=rng.randint(1, 50))
    same(
        tables(found, recording, CASTS), tables(by_numpy(recording, columns, CASTS, chosen), recording, CASTS)
    )


@settings(deadline=None, max_examples=60)
@given(PROGRAMS, SEEDS, st.integers(1, 4))
def test_parts_add_up(program: list[list[Node]], seed: int, parts: int) -> None:
    recording, _, _ = record(program, random.Random(seed))
    for number, row in enumerate(recording.rows):
        row |= {"arg0": number % 23} if row["type"] == "entry" else {"ret_val": number % 2}
    columns = ["arg0", "ret_val"]
    whole = tables(by_walk(recording, columns), recording)
    figures = [by_walk(recording, columns, partition=Partition("", part, parts)) for part in range(parts)]
    sent = [pickle.loads(pickle.dumps(each)) for each in figures]
    same(tables(merge(sent), recording), whole)
    # In whatever order.
    first, *others = reversed(sent)
    for other in others:
        first = merge([first, other])
    same(tables(first, recording), whole)


def test_traces_of_one_program_add_up_by_symbol_and_module() -> None:
    """Cookies say nothing about another trace; equal names in one module are told apart by their order."""
    other = function(4, "f", module="/other.so")
    first = Recording(functions=["f", "g", "g"])
    second = Recording(functions=["g", "h", "f", other])
    for recording in (first, second):
        recording.entry("g", 20, 900).exit("g", 25, 900)
    second.entry("f", 30, 1000).exit("f", 41, 1000)
    merged = merge([by_walk(each, partition=Partition(path)) for each, path in ((first, "1"), (second, "2"))])
    rows = latency.latency(merged).collect().select("function", "module", "calls", "total_ns").rows()
    assert sorted(rows) == [
        ("f", "other.so", 1, 11),
        ("g", "libdemo.so.1", 1, 5),
        ("g", "libdemo.so.1", 1, 5),
    ]
    assert len(threads.threads(pl.DataFrame(merged.threads), first.about()).collect()) == 2


def long(count: int, value: Callable[[int], int]) -> Recording:
    """`count` calls that last from 1 to 2^40 ns, with these values."""
    rng = random.Random(1)
    recording = Recording()
    now = 0
    for number in range(count):
        recording.entry("f", now, 1000, value(number))
        now += int(2 ** rng.uniform(0, 40))
        recording.exit("f", now, 1000, number % 3)
    return recording


def test_buckets_are_within_04_per_cent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "KEPT", 100)
    recording = long(5003, lambda number: number)
    figures = by_walk(recording, rows=1009)
    assert figures.rough == (1, 0)
    found, exact = (
        latency.latency(each).collect().row(0, named=True) for each in (figures, by_numpy(recording))
    )
    for name, value in exact.items():
        if name.startswith("p"):
            assert abs(found[name] - value) <= 0.004 * value
        else:
            assert found[name] == (pytest.approx(value) if isinstance(value, float) else value)
    both = merge([figures, figures])
    assert len(both.durations[0]) == 2 * 5003
    assert latency.latency(both).collect()["p50_ns"].to_list() == [found["p50_ns"]]


def test_more_values_than_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is frequent is found, and counted but for a known error; the rest is estimated well."""
    monkeypatch.setattr(engine, "_VALUE_BITS", 8)
    monkeypatch.setattr(registers_held, "MANY", 3 << 6)
    many = 20_011
    # The frequent value comes late, when the table is full.
    recording = long(many, lambda number: 7 if number > 9000 and number % 3 else number << 20)
    different = len({row["arg0"] for row in recording.rows if row["type"] == "entry"})
    for workers in (1, 2):
        figures = by_walk(recording, ["arg0", "ret_val"], rows=4099)
        if workers == 2:
            figures = merge([figures, figures])
        register = figures.registers[0, 0]
        assert not register.exact
        assert register.count == workers * many
        assert (register.least, register.greatest) == (0, (many - 1) << 20)
        assert abs(register.different - different) < 0.03 * different
        exact = by_numpy(recording, ["arg0"]).registers[0, 0]
        assert abs(register.median - exact.median) <= 0.004 * exact.median
        ((value, count),) = register.top(1)
        ((expected, times),) = exact.top(1)
        assert value == expected == 7
        assert workers * times - register.missed <= count <= workers * times
        assert register.missed < 0.05 * register.count
        assert sum(len(group) for group in register.groups.values()) == workers * many
    assert figures.registers[0, 6].sketch is None


def test_the_sketch_is_the_same_in_both_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_VALUE_BITS", 8)
    recording = long(3001, lambda number: number * 0x9E3779B97F4A7C15 % 2**64)
    register = by_walk(recording, ["arg0"], [Cast.parse("f:arg0=i64")], rows=997).registers[0, 0]
    values = [row["arg0"] for row in recording.rows if row["type"] == "entry"]
    assert register.sketch is not None
    assert register.sketch.tolist() == sketch_of(np.array(values, np.uint64)).tolist()


def test_little_memory_makes_figures_rough_and_says_so() -> None:
    recording = long(5003, lambda number: number)
    figures = by_walk(recording, ["arg0"], rows=1009, memory=0)
    assert figures.rough == (1, 1)
    assert by_walk(recording, ["arg0"], rows=1009).rough == (0, 0)


def test_a_tree_without_room_gives_time_to_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_MOST_PLACES", 2)
    recording = Recording()
    recording.entry("f", 0, 1000).entry("g", 10, 900).entry("h", 20, 800)
    recording.exit("h", 50, 800).exit("g", 60, 900).exit("f", 100, 1000)
    figures = by_walk(recording)
    assert figures.cut == 1
    tree = callgraph.tree(figures).collect().select("function", "calls", "total_ns", "self_ns").rows()
    assert tree == [(0, 1, 100, 50), (1, 1, 50, 50)]
    assert latency.latency(figures).collect()["self_ns"].to_list() == [50, 20, 30]


@settings(deadline=None, max_examples=100)
@given(SEEDS, st.integers(0, 3))
def test_a_tree_without_room_changes_no_other_figure(seed: int, room: int) -> None:
    """Least of all edges: a call without a place hands that of its caller down to those inside it."""
    recording = soup(random.Random(seed))
    expected = tables(by_numpy(recording), recording)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_MOST_PLACES", room)
        found = tables(by_walk(recording), recording)
    del expected["tree"]
    same(found, expected)
    assert found["tree"]["self_ns"].sum() == tables(by_numpy(recording), recording)["tree"]["self_ns"].sum()
