"""Tables as the page has them: plain lists, numbers and text, each row with what matters first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from ..analyze.flame import Tree
from ..analyze.loglinear import bounds_of
from ..analyze.registers import are_pointers
from ..analyze.slices import Slices
from . import budget
from .gather import BITS

#: The columns of a function's row that are those of the latency report.
STATISTICS = (
    *("calls", "total_ns", "self_ns", "mean_ns", "stddev_ns", "min_ns"),
    *("p50_ns", "p90_ns", "p95_ns", "p99_ns", "p999_ns", "max_ns", "open", "unwound", "lost"),
)


def function_rows(
    latency: pl.DataFrame,
    table: pl.DataFrame,
    order: list[int],
    modules: list[str],
    histograms: dict[int, list[list[int]]],
) -> Iterator[list[Any]]:
    """A row a function: name, place of the module in `modules` or one past their end, whether it has no
    exits, histogram, statistics.
    """
    names = [budget.cut(name) for name in table["demangled"].to_list()]
    paths, exits = table["module"].to_list(), table["exit"].to_list()
    which = {module: position for position, module in enumerate(modules)}
    whole = latency.with_columns(pl.col("mean_ns", "stddev_ns").round().cast(pl.Int64))
    for function, statistics in zip(order, whole.select(STATISTICS).iter_rows(), strict=True):
        entry_only = int(exits[function] == "none")
        histogram = [count for pair in histograms.get(function, ()) for count in pair]
        yield [names[function], which.get(paths[function], len(which)), entry_only, histogram, *statistics]


def by_function(frame: pl.DataFrame, *columns: str) -> Iterator[tuple[int, list[list[int]]]]:
    """The rows of each function, as lists of `columns`."""
    for (function,), rows in frame.group_by("function", maintain_order=True):
        yield function, [list(row) for row in rows.select(columns).iter_rows()]


def left_out(latency: pl.DataFrame) -> dict[str, int]:
    """What functions that did not fit add up to."""
    return {
        "functions": len(latency),
        "calls": int(latency["calls"].sum()),
        "self_ns": int(latency["self_ns"].sum() or 0),
    }


def bounds(histogram: pl.DataFrame) -> dict[str, list[int]]:
    """The least and greatest latency of each bucket in use."""
    buckets = histogram["bucket"].unique().sort()
    low, high = bounds_of(buckets.to_numpy(), BITS)
    return {
        str(bucket): [least, most]
        for bucket, least, most in zip(buckets.to_list(), low.tolist(), high.tolist(), strict=True)
    }


def further_names(tree: Tree, table: pl.DataFrame, place: dict[int, int]) -> list[str]:
    """Names of functions in the flame graph that are not in the table, as far as they fit."""
    names = table["demangled"].to_list()
    return budget.fitting((budget.cut(names[function]) for function in unplaced(tree, place)), budget.NAMES)


def unplaced(tree: Tree, place: dict[int, int]) -> list[int]:
    return [function for function in dict.fromkeys(tree.function.tolist()) if function not in place]


def numbered(tree: Tree, place: dict[int, int], names: int) -> dict[int, int]:
    return {function: len(place) + k for k, function in enumerate(unplaced(tree, place)[:names])}


def flame(tree: Tree, place: dict[int, int]) -> dict[str, Any]:
    """Columns of the tree; `function` is a place in the names, -1 where the name did not fit."""
    return {
        "parent": tree.parent.tolist(),
        "function": [place.get(function, -1) for function in tree.function.tolist()],
        "calls": tree.calls.tolist(),
        "own": tree.own.tolist(),
        "hidden": tree.hidden.tolist(),
        "time": tree.time,
        "hidden_ns": tree.hidden_ns + int(tree.hidden.sum()),
        "hidden_calls": tree.hidden_calls,
        "least_ns": int(tree.total.min()) if len(tree.total) else 0,
    }


def heat(counts: pl.DataFrame, order: list[int], place: dict[int, int]) -> Iterator[list[Any]]:
    """For each function, most time first: its place, and slice, bucket, calls in turn."""
    cells = dict(by_function(counts, "slice", "bucket", "calls"))
    for function in order:
        if function in cells and function in place:
            yield [place[function], [value for cell in cells[function] for value in cell]]


def edges(graph: pl.DataFrame, number: dict[int, int], place: dict[int, int]) -> Iterator[list[Any]]:
    """Caller (-1 at a root), callee, calls, total, self; of functions in the table, most time first."""
    columns = ("caller_cookie", "callee_cookie", "calls", "total_ns", "self_ns")
    for caller, callee, *figures in graph.select(columns).iter_rows():
        above = -1 if caller is None else place.get(number[caller])
        below = place.get(number[callee])
        if above is not None and below is not None:
            yield [above, below, *figures]


def arguments(values: pl.DataFrame, number: dict[int, int], place: dict[int, int]) -> Iterator[list[Any]]:
    """Function, argument, type (`ptr` where it looks so, null where it is raw), count, distinct, least,
    greatest, most frequent values, and groups: low, high, calls, median, 99th percentile.

    Values are text: they can be larger than what JavaScript counts exactly.
    """
    rows = sorted(
        (row for row in values.to_dicts() if number[row["cookie"]] in place),
        key=lambda row: place[number[row["cookie"]]],
    )
    for row in rows:
        kind = "ptr" if row["type"] is None and are_pointers(row) else row["type"]
        # How large a pointer is says nothing.
        useless = kind == "ptr" and any(group["low"] != group["high"] for group in row["groups"])
        yield [
            place[number[row["cookie"]]],
            row["arg"],
            kind,
            row["count"],
            row["distinct"],
            str(row["min"]),
            str(row["max"]),
            [[str(item["value"]), item["count"]] for item in row["top"]],
            []
            if useless
            else [
                [str(group["low"]), str(group["high"]), group["calls"], group["p50_ns"], group["p99_ns"]]
                for group in row["groups"]
            ],
        ]


def threads(table: pl.DataFrame, busy: list[list[int]], span: Slices) -> list[dict[str, Any]]:
    """The busiest threads; `lane` is the share of each slice that they were busy, per mille."""
    lengths = (span.edges[1:] - span.edges[:-1]).tolist()
    return [
        {
            "tgid": row["tgid"],
            "pid": row["pid"],
            "name": None if row["thread_name"] is None else budget.cut(row["thread_name"], 100),
            "calls": row["calls"],
            "first": row["first_ns"] - span.start,
            "last": row["last_ns"] - span.start,
            "busy": row["busy_ns"],
            "lane": [
                -(-1000 * time // length) for time, length in zip(lane, lengths, strict=True)
            ],  # rounded up, so that nothing that ran looks idle
        }
        for row, lane in zip(table.iter_rows(named=True), busy, strict=True)
    ]
