"""What separates slow calls from the others: found where there is something, and nowhere else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import funcsnoop
from funcsnoop import schemas
from funcsnoop.analyze.association import at_least, best_range, best_value, best_window
from funcsnoop.analyze.evidence import MANY, Evidence
from funcsnoop.analyze.explain import Case, Explanation, Reason
from funcsnoop.cli.exports import to_arrow
from funcsnoop.cli.units import width_of

from .traces import Recording

Run = Callable[..., Any]


@given(st.integers(1, 60), st.data())
def test_fishers_exact_test(population: int, data: st.DataObject) -> None:
    marked, drawn = data.draw(st.integers(0, population)), data.draw(st.integers(0, population))
    found = data.draw(st.integers(0, min(marked, drawn)))
    ways = sum(
        math.comb(marked, k) * math.comb(population - marked, drawn - k)
        for k in range(found, min(marked, drawn) + 1)
    )
    assert at_least(found, population, marked, drawn) == pytest.approx(ways / math.comb(population, drawn))


def test_fishers_exact_test_of_many() -> None:
    assert at_least(50_000, 10**8, 10**5, 5 * 10**7) == pytest.approx(0.5, abs=0.01)
    assert at_least(900, 10**8, 10**5, 5 * 10**5) < 1e-50


GROUPS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=12).filter(
    lambda groups: any(slow for slow, _ in groups) and any(other for _, other in groups)
)


@given(GROUPS)
def test_best_conditions_against_trying_all(groups: list[tuple[int, int]]) -> None:
    slow = np.array([s for s, _ in groups])
    calls = slow + np.array([other for _, other in groups])
    every = range(len(groups))

    def separation(part: slice) -> float:
        others = (calls - slow)[part].sum() / (calls - slow).sum()
        return float(slow[part].sum() / slow.sum() - others)

    last = len(groups)
    for best, parts in (
        (best_value, [slice(i, i + 1) for i in every]),
        (best_range, [s for i in every for s in (slice(i, i + 1), slice(i, last), slice(0, i + 1))]),
        (best_window, [slice(i, j + 1) for i in every for j in range(i, last)]),
    ):
        found = best(calls, slow)
        assert found.separation == pytest.approx(max(separation(part) for part in parts))
        assert found.separation == pytest.approx(separation(slice(found.first, found.last + 1)))
        assert found.tried >= len(set(map(repr, parts))) - 2
        assert 0 <= found.explained <= 1 + 1e-9


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 500)), max_size=30), max_size=4
    ),
    st.integers(0, 300),
)
def test_evidence_counts_each_call_once(parts: list[list[tuple[int, int]]], threshold: int) -> None:
    evidence = Evidence()
    for part in parts:
        evidence.add(np.array([v for v, _ in part], np.int64), np.array([b for _, b in part], np.int64))
    calls = [call for part in parts for call in part]
    groups = evidence.groups(threshold)
    assert [low for low, _ in groups.bounds] == sorted({value for value, _ in calls})
    for (low, high), count, slow in zip(groups.bounds, groups.calls, groups.slow, strict=True):
        of_value = [bucket for value, bucket in calls if low <= value <= high]
        assert count == len(of_value)
        assert slow == sum(bucket >= threshold for bucket in of_value)


def test_many_values_become_ranges() -> None:
    evidence = Evidence()
    values = np.arange(-2000, 20_000)
    for part in np.array_split(values, 7):
        evidence.add(part, np.abs(part) % 100)
    assert evidence.by_range
    groups = evidence.groups(0)
    assert len(groups.bounds) < MANY
    for (low, high), count in zip(groups.bounds, groups.calls, strict=True):
        assert count == ((values >= low) & (values <= high)).sum()
    assert not evidence.are_names
    evidence.add(np.arange(0x7F00_0000_0000, 0x7F00_0010_0000, 64, dtype=np.uint64), np.ones(16384, np.int64))
    assert evidence.are_names


def calls(count: int, seed: int = 0, **columns: Any) -> pl.DataFrame:
    """Calls without any pattern: 1 µs or so, in bursts of noise; `columns` in place of what they have."""
    rng = np.random.default_rng(seed)
    found = {
        "caller": rng.integers(0, 3, count).astype(np.uint32),
        "pid": rng.integers(100, 104, count).astype(np.uint32),
        "start": np.sort(rng.integers(0, 10**9, count)),
        "duration_ns": rng.lognormal(7, 0.4, count).astype(np.int64),
        "arg0": rng.integers(0, 5, count).astype(np.uint64),
        "arg1": rng.integers(0, 2**63, count).astype(np.uint64),
        "arg2": np.arange(count).astype(np.uint64),
        "ret_val": rng.integers(0, 2, count).astype(np.uint64),
    }
    return pl.DataFrame(found | columns)


def explained(frame: pl.DataFrame, slow_ns: int | None = None, parts: int = 1) -> list[Explanation]:
    registers = [name for name in frame.columns if name.startswith("arg") or name == "ret_val"]
    case = Case(registers, 0, slow_ns)
    for part in frame.iter_slices(max(-(-len(frame) // parts), 1)):
        case.add(part, lambda register: "i32" if register == "ret_val" else None)
    return case.explain()


def reasons(frame: pl.DataFrame) -> dict[str, Reason]:
    """The reasons of the best explanation."""
    found = explained(frame)
    assert found, "nothing was found"
    return {reason.what: reason for reason in found[0].reasons}


@pytest.mark.parametrize("count", [29, 211, 2003, 20011])
def test_nothing_is_found_in_noise(count: int) -> None:
    found = [explained(calls(count, seed)) for seed in range(25 if count < 10**4 else 10)]
    assert found == [[]] * len(found)


def test_too_few_calls() -> None:
    assert explained(calls(19)) == []
    assert explained(calls(0)) == []
    assert explained(calls(100, duration_ns=np.full(100, 5))) == []


def slowed(frame: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
    return frame.with_columns(
        duration_ns=pl.when(where).then(20 * pl.col("duration_ns")).otherwise("duration_ns")
    )


def test_an_argument_explains() -> None:
    frame = calls(2003)
    # Two of five values take long.
    found = reasons(slowed(frame, pl.col("arg0") >= 3))["arg0"]
    assert (found.low, found.high) == (3, 4)
    assert found.condition.explained > 0.95
    assert found.condition.separation > 0.9
    found = reasons(slowed(frame, pl.col("arg0") == 2))["arg0"]
    assert (found.low, found.high) == (2, 2)


def test_a_range_of_many_values_explains() -> None:
    size = np.random.default_rng(5).integers(0, 10**6, 20_011).astype(np.uint64)
    found = reasons(slowed(calls(20_011, arg1=size), pl.col("arg1") >= 700_000))["arg1"]
    assert found.low == pytest.approx(700_000, rel=0.2)
    assert found.high >= 999_000


@pytest.mark.parametrize(
    ("what", "condition", "low"),
    [("caller", pl.col("caller") == 1, 1), ("thread", pl.col("pid") == 102, 102)],
)
def test_callers_and_threads_explain(what: str, condition: pl.Expr, low: int) -> None:
    found = reasons(slowed(calls(2003), condition))
    assert list(found) == [what]
    assert (found[what].low, found[what].high) == (low, low)
    assert found[what].condition.explained > 0.95


def test_a_return_value_explains_and_is_signed() -> None:
    frame = calls(2003).with_columns(
        ret_val=pl.when(pl.col("arg0") == 1).then(pl.lit(2**32 - 11, pl.UInt64)).otherwise(0)
    )
    found = reasons(slowed(frame, pl.col("arg0") == 1))
    assert set(found) == {"arg0", "ret_val"}
    assert (found["ret_val"].low, found["ret_val"].high) == (-11, -11)


def test_a_window_of_time_explains() -> None:
    found = reasons(slowed(calls(2003), pl.col("start").is_between(4 * 10**8, 6 * 10**8)))
    # The third argument counts calls, and tells the time as well.
    assert set(found) <= {"time", "arg2"}
    assert found["time"].low == pytest.approx(4 * 10**8, abs=4 * 10**7)
    assert found["time"].high == pytest.approx(6 * 10**8, abs=4 * 10**7)
    assert found["time"].condition.explained > 0.9


def test_addresses_are_no_quantities() -> None:
    pointers = (0x5600_0000_0000 + 64 * np.random.default_rng(1).permutation(2003)).astype(np.uint64)
    order = np.argsort(pointers)
    slow = np.zeros(2003, np.bool_)
    slow[order[-400:]] = True
    frame = calls(2003, arg1=pointers).with_columns(slow=pl.Series(slow))
    assert "arg1" not in {
        r.what for e in explained(slowed(frame, pl.col("slow")).drop("slow")) for r in e.reasons
    }


def test_rare_slow_calls_are_found_too() -> None:
    """23 of 20,011, which the slowest per cent would drown."""
    frame = calls(20_011, arg0=np.where(np.arange(20_011) % 870 == 0, 9, 1).astype(np.uint64))
    found = explained(slowed(slowed(frame, pl.col("arg0") == 9), pl.col("arg0") == 9))
    best = found[0]
    assert best.slow == 24
    assert [(r.what, r.low, r.condition.slow) for r in best.reasons] == [("arg0", 9, 24)]


def test_parts_add_up() -> None:
    frame = slowed(calls(2003), pl.col("arg0") == 2)
    assert explained(frame, parts=1) == explained(frame, parts=7)


def test_what_is_slow_can_be_said() -> None:
    frame = calls(2003, duration_ns=np.arange(2003), arg0=(np.arange(2003) >= 1501).astype(np.uint64))
    (found,) = explained(frame, slow_ns=1501)
    assert (found.slow, found.slow_ns) == (502, 1501)
    assert next(r for r in found.reasons if r.what == "arg0").condition.explained == 1
    assert explained(frame, slow_ns=5000) == []


def recording() -> Recording:
    """f is called by main and by helper; with 4096 it takes long, and returns -11."""
    made = Recording(functions=["main", "f", "evil\x1b[31m"])
    made.entry("main", 1_000, 9000)
    now = 2_000
    for place in range(211):
        around = "evil\x1b[31m" if place % 3 == 0 else None
        if around:
            made.entry(around, now, 8000)
        slow = place % 7 == 0
        made.entry("f", now + 10, 7000, 4096 if slow else 64, 0x7F00_0000_0000 + 64 * place)
        now += 50_000 + 13 * place if slow else 1_000 + 7 * (place % 11)
        made.exit("f", now, 7000, 2**64 - 11 if slow else 0)
        if around:
            made.exit(around, now + 10, 8000)
        now += 100
    made.exit("main", now, 9000)
    made.entry("f", now + 100, 7000, 4096)
    return made


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return recording().write(tmp_path / "trace.parquet")


def test_explain(run: Run, trace: Path) -> None:
    lines = run("analyze", "explain", "--focus", "f").stdout.splitlines()
    assert lines == [
        "f: 211 complete calls",
        "31 took 49.2 µs or longer (15 %)",
        "EXPLAINED  WHEN             OF THE SLOW  OF THE OTHERS",
        "    100 %  arg0 is 4096      31 (100 %)        0 (0 %)",
        "    100 %  it returned -11   31 (100 %)        0 (0 %)",
        "left out: 1 open; no events lost",
    ]
    text = run("analyze", "explain", "--focus", "f", "--slow", "60us").stdout
    assert "took 60.0 µs or longer" not in text
    assert "nothing that was recorded separates slow ones" in text
    assert "main: 1 complete call, too few to tell\n" in run("analyze", "explain", "--focus", "main").stdout
    text = run("analyze", "explain", "--focus", "evil*").stdout
    assert text.startswith("evil\\x1b[31m: 71 complete calls\n")


def test_explain_as_rows(run: Run, trace: Path) -> None:
    rows = json.loads(run("analyze", "explain", "--focus", "f", "--format", "json").stdout)
    assert list(rows[0]) == schemas.EXPLAIN.names
    assert [(row["what"], row["low"], row["matching_calls"], row["matching_slow"]) for row in rows] == [
        ("arg0", 4096, 31, 31),
        ("ret_val", 2**64 - 11, 31, 31),
    ]
    cast = ("--as", "f:ret_val=i64")
    rows = json.loads(run("analyze", "explain", "--focus", "f", *cast, "--format", "json").stdout)
    assert rows[1]["low"] == -11
    assert all(row["explained"] == 1 and row["p_value"] < 1e-20 for row in rows)


def test_callers_by_name(run: Run, tmp_path: Path) -> None:
    made = Recording(functions=["evil\x1b[31m", "f"])
    now = 0
    for place in range(101):
        if place % 4 == 0:
            made.entry("evil\x1b[31m", now, 8000)
        made.entry("f", now + 1, 7000, pid=7).exit(
            "f", now + (9_000 if place % 4 == 0 else 100) + place, 7000
        )
        now += 10_000
        if place % 4 == 0:
            made.exit("evil\x1b[31m", now - 1, 8000)
    made.write(tmp_path / "trace.parquet")
    assert "called by evil\\x1b[31m   " in run("analyze", "explain", "--focus", "f").stdout
    row = json.loads(run("analyze", "explain", "--focus", "f", "--format", "json").stdout)[0]
    assert (row["what"], row["caller"], row["low"], row["explained"]) == ("caller", "evil\x1b[31m", None, 1)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_it_fits_the_terminal(run: Run, trace: Path, columns: int) -> None:
    shown = run("analyze", "explain", "--focus", "f", columns=columns, env={"NO_COLOR": "1"}).stdout
    assert max(map(width_of, shown.splitlines()[:-1])) <= columns
    coloured = run("analyze", "explain", "--focus", "f", columns=columns, env={"TERM": "xterm"}).stdout
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain"], "the report explain needs --focus"),
        (["explain", "--focus", "ff"], "near it: f"),
        (["explain", "--focus", "f", "--slow", "soon"], "not a duration"),
        (["latency", "--slow", "1ms"], "it is for explain"),
        (["explain", "--focus", "f", "--top", "3"], "means nothing to a picture"),
    ],
)
def test_bad_usage(run: Run, trace: Path, arguments: list[str], message: str) -> None:
    done = run("analyze", *arguments)
    assert done.status == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 2


def test_tables_for_notebooks(trace: Path) -> None:
    found = funcsnoop.open(trace).explain("f", {"f:ret_val": "i64"}).collect()
    assert to_arrow(found, schemas.EXPLAIN).schema.equals(schemas.EXPLAIN)
    assert found["what"].to_list() == ["arg0", "ret_val"]
