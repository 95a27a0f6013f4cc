"""The calling-context tree: the call graph by path from a root, recursion folded."""

from __future__ import annotations

import polars as pl

from .outer import outermost_of
from .paths import Paths


def call_tree(paired: pl.LazyFrame) -> pl.LazyFrame:
    """A row for each path of functions that calls took, parents before children:

    `node`, `parent` (uint32, null at a root), `function` (uint32), `calls` (uint64), `total_ns` and
    `self_ns` (int64; null where no call is complete), `level` (uint32, from 0).

    A function stands on a path once: a call of one that is already on its path, whether direct or mutual
    recursion, counts at that earlier place. `total_ns` takes the outermost complete calls of a place.
    `paired` are calls as `paired.table` describes them; one whose caller is not among them is a root.
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
    kinds = calls.select(pl.col("function").max()).item() or 0
    paths = Paths(kinds + 1)
    node = paths.place(calls)
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
            "node": pl.Series(range(len(paths)), dtype=pl.UInt32),
            "parent": pl.Series([None if p < 0 else p for p in paths.parents], dtype=pl.UInt32),
            "function": pl.Series(paths.functions, dtype=pl.UInt32),
            "level": pl.Series(paths.levels, dtype=pl.UInt32),
        }
    )
    return (
        table.join(seen, on="node", how="left")
        .join(total, on="node", how="left")
        .sort("node")
        .lazy()
        .select("node", "parent", "function", "calls", "total_ns", "self_ns", "level")
    )
