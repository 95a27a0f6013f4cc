"""The diff report: what changed between two recordings, and what may be chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from .blocks import Blocks
from .matching import match
from .movement import holm, movement

#: Durations are said to have changed if chance gives as much less often than this, when nothing did.
SIGNIFICANCE = 0.01
#: Numbers of calls that differ by less than this share of the smaller one are called the same.
LEAST_CALLS = 0.1

#: Caller and function, rows of the function table; -1 for no caller, and where callers don't matter.
Key = tuple[int, int]
#: What is compared, in columns that end in `_a`, `_b` and `_diff`.
FIGURES = ("calls", "total_ns", "self_ns", "p50_ns", "p99_ns")


@dataclass(frozen=True)
class Side:
    """What one recording has to compare.

    `figures` are `latency.latency` or, for edges, `callgraph.edges`, with cookies; `durations` those of
    complete calls, see `durations_of`.
    """

    functions: pl.LazyFrame
    figures: pl.LazyFrame
    durations: Mapping[Key, Blocks]


def durations_of(batches: Iterable[pl.DataFrame], *, edges: bool) -> dict[Key, Blocks]:
    """Durations by function, or by caller and function, in one pass that keeps no calls.

    `batches` need `function`, `duration_ns`, and for edges `caller`.
    """
    found: dict[Key, Blocks] = {}
    caller = pl.col("caller").cast(pl.Int64).fill_null(-1) if edges else pl.lit(-1, pl.Int64)
    for batch in batches:
        complete = batch.drop_nulls("duration_ns").select(caller.alias("caller"), "function", "duration_ns")
        for (above, function), part in complete.partition_by(["caller", "function"], as_dict=True).items():
            found.setdefault((above, function), Blocks()).add(part["duration_ns"].to_numpy())
    return found


def diff(first: Side, second: Side, *, edges: bool) -> pl.LazyFrame:
    """`schemas.DIFF`, or for edges `schemas.DIFF_EDGES`: what changed comes first, then what differs most in
    `total_ns`.
    """
    ours = first.functions.select(pl.len()).collect().item()
    back = {there: here for here, there in match(first.functions, second.functions).items()}

    def common(key: Key) -> Key:
        """A key of the second, functions numbered as in the first; those that it lacks come after."""
        above, function = (row if row < 0 else back.get(row, ours + row) for row in key)
        return above, function

    names: dict[int, tuple[str | None, str | None]] = dict(enumerate(_names(first)))
    names |= {common((-1, row))[1]: name for row, name in enumerate(_names(second))}
    names[-1] = None, None
    before = _figures(first, edges=edges)
    after = {common(key): row for key, row in _figures(second, edges=edges).items()}
    theirs = {common(key): blocks for key, blocks in second.durations.items()}

    rows = []
    tested = []
    for key in [*before, *(key for key in after if key not in before)]:
        row: dict[str, Any] = {"moved": None, "p_value": None}
        row["function"], row["module"] = names[key[1]]
        row["caller"], row["caller_module"] = names[key[0]]
        row |= _differences(before.get(key, {}), after.get(key, {}))
        rows.append(row)
        if key in first.durations and key in theirs:
            found = movement(first.durations[key], theirs[key])
            if found is not None:
                tested.append((row, found))
    for (row, found), p_value in zip(tested, holm([m.p_value for _, m in tested]), strict=True):
        row |= {"moved": found.share, "p_value": p_value}
    for row in rows:
        row["change"] = _change(row)
    rows.sort(key=lambda row: (row["change"] in (None, "same"), -abs(row["total_ns_diff"])))
    return _table(rows, edges=edges).lazy()


def _names(side: Side) -> list[tuple[str | None, str | None]]:
    return side.functions.select("demangled", "file").collect().rows()


def _figures(side: Side, *, edges: bool) -> dict[Key, dict[str, Any]]:
    """The figures of each key. Percentiles of edges come from the histograms of their durations."""
    row_of = dict(side.functions.select("cookie", "function").collect().rows())
    found = {}
    for row in side.figures.collect().iter_rows(named=True):
        if not edges:
            found[-1, row_of[row["cookie"]]] = {name: row[name] for name in FIGURES}
            continue
        caller = row["caller_cookie"]
        key = -1 if caller is None else row_of[caller], row_of[row["callee_cookie"]]
        figures = {name: row[name] for name in FIGURES if name in row}
        blocks = side.durations.get(key)
        for name, per_mille in (("p50_ns", 500), ("p99_ns", 990)):
            figures[name] = None if blocks is None else blocks.percentile(per_mille)
        found[key] = figures
    return found


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of both sides and what they differ by. What is on one side only differs by all of it, but for
    percentiles, which then have no other to differ from.
    """
    row: dict[str, Any] = {}
    for name in FIGURES:
        one, two = before.get(name), after.get(name)
        row[f"{name}_a"], row[f"{name}_b"] = one, two
        if name.startswith("p"):
            row[f"{name}_diff"] = None if one is None or two is None else two - one
        else:
            row[f"{name}_diff"] = (two or 0) - (one or 0)
    row["calls_a"], row["calls_b"] = row["calls_a"] or 0, row["calls_b"] or 0
    return row


def _change(row: Mapping[str, Any]) -> str | None:
    """What is called a change; None where too few calls are complete to tell."""
    if not row["calls_a"] or not row["calls_b"]:
        return "only_b" if row["calls_b"] else "only_a"
    if row["p_value"] is not None and row["p_value"] < SIGNIFICANCE:
        return "slower" if row["moved"] > 0 else "faster"
    if abs(row["calls_diff"]) >= LEAST_CALLS * min(row["calls_a"], row["calls_b"]):
        return "more_calls" if row["calls_diff"] > 0 else "fewer_calls"
    return None if row["p_value"] is None else "same"


def _table(rows: Sequence[dict[str, Any]], *, edges: bool) -> pl.DataFrame:
    schema: dict[str, Any] = {"caller": pl.String, "caller_module": pl.String} if edges else {}
    schema |= {"function": pl.String, "module": pl.String, "change": pl.String}
    for name in FIGURES:
        whole = pl.UInt64 if name == "calls" else pl.Int64
        schema |= {f"{name}_a": whole, f"{name}_b": whole, f"{name}_diff": pl.Int64}
    schema |= {"moved": pl.Float64, "p_value": pl.Float64}
    return pl.DataFrame(
        {name: pl.Series(name, [row[name] for row in rows], kind) for name, kind in schema.items()}
    )
