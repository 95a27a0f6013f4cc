"""The calling-context tree: the call graph by path from a root, recursion folded."""

from __future__ import annotations

import numpy as np
import polars as pl

from .arrays import Ints
from .outer import outermost_of


def call_tree(paired: pl.LazyFrame) -> pl.LazyFrame:
    """A row for each path of functions that calls took, parents before children:

    `node`, `parent` (uint32, null at a root), `function` (uint32), `calls` (uint64), `total_ns` and
    `self_ns` (int64; null where no call is complete), `level` (uint32, from 0).

    A function stands on a path once: a call of one that is already on its path, whether direct or mutual
    recursion, counts at that earlier place. `total_ns` takes the outermost complete calls of a place.
    `paired` are calls as `pairing.pair` gives them; one whose caller is not among them is a root.
    """
    calls = paired.select(
        "call_id",
        "parent_id",
        "depth",
        "function",
        "tgid",
        "pid",
        "duration_ns",
        "self_ns",
        "entry_row",
        "exit_row",
    ).collect()
    node, parents, functions, levels = _places(calls)
    placed = calls.with_columns(node=pl.Series(node, dtype=pl.UInt32))
    complete = placed.filter(pl.col("duration_ns").is_not_null())
    total = (
        complete.filter(pl.Series(outermost_of(complete, "node")))
        .group_by("node")
        .agg(total_ns=pl.col("duration_ns").sum())
    )
    seen = placed.group_by("node").agg(
        calls=pl.len().cast(pl.UInt64),
        self_ns=pl.when(pl.col("self_ns").count() > 0).then(pl.col("self_ns").sum()),
    )
    table = pl.DataFrame(
        {
            "node": pl.Series(range(len(parents)), dtype=pl.UInt32),
            "parent": pl.Series([None if p < 0 else p for p in parents], dtype=pl.UInt32),
            "function": pl.Series(functions, dtype=pl.UInt32),
            "level": pl.Series(levels, dtype=pl.UInt32),
        }
    )
    return (
        table.join(seen, on="node", how="left")
        .join(total, on="node", how="left")
        .sort("node")
        .lazy()
        .select("node", "parent", "function", "calls", "total_ns", "self_ns", "level")
    )


def _places(calls: pl.DataFrame) -> tuple[Ints, list[int], list[int], list[int]]:
    """Each call's node; each node's parent, function and level. Goes down by depth, all calls of a depth
    at once.
    """
    count = len(calls)
    node = np.full(count, -1, np.int64)
    parents: list[int] = []
    functions: list[int] = []
    levels: list[int] = []
    if not count:
        return node, parents, functions, levels
    caller = _rows_of_parents(calls)
    function = calls["function"].to_numpy().astype(np.int64)
    kinds = int(function.max()) + 1
    depth = calls["depth"].to_numpy()
    order = np.argsort(depth.astype(np.uint16) if int(depth.max()) < 1 << 16 else depth, kind="stable")
    bounds = np.flatnonzero(np.r_[True, np.diff(depth[order]) != 0, True])
    known: dict[int, int] = {}
    for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        here = order[low:high]
        above = np.where(caller[here] >= 0, node[caller[here]], -1)
        keys, which = _distinct((above + 1) * kinds + function[here])
        found = []
        for key in keys.tolist():
            place = known.get(key)
            if place is None:
                parent, called = key // kinds - 1, key % kinds
                place = parent
                while place >= 0 and functions[place] != called:
                    place = parents[place]
                if place < 0:
                    place = len(parents)
                    parents.append(parent)
                    functions.append(called)
                    levels.append(levels[parent] + 1 if parent >= 0 else 0)
                known[key] = place
            found.append(place)
        node[here] = np.array(found, np.int64)[which]
    return node, parents, functions, levels


def _rows_of_parents(calls: pl.DataFrame) -> Ints:
    """The row of each call's parent; -1 where it has none, or it is not in the table."""
    ids = calls["call_id"].cast(pl.Int64).to_numpy()
    parent = calls["parent_id"].cast(pl.Int64).fill_null(-1).to_numpy()
    if len(ids) and ids[-1] == len(ids) - 1:
        return parent  # nothing was filtered out
    row = np.searchsorted(ids, parent)
    row = np.minimum(row, max(len(ids) - 1, 0))
    return np.where(ids[row] == parent, row, -1).astype(np.int64)


def _distinct(keys: Ints) -> tuple[Ints, Ints]:
    """`np.unique` with the inverse; a table instead of a sort where the keys are small."""
    limit = int(keys.max()) + 1
    if limit > max(1 << 16, 4 * len(keys)):
        values, inverse = np.unique(keys, return_inverse=True)
        return values, inverse
    used = np.zeros(limit, np.bool_)
    used[keys] = True
    values = np.flatnonzero(used)
    number = np.zeros(limit, np.int64)
    number[values] = np.arange(len(values))
    return values, number[keys]
