"""The latency report: how often and how long each function ran."""

from __future__ import annotations

import numpy as np
import polars as pl

from .outer import outermost_of
from .ranks import PERCENTILES, rank, sort_within


def latency(paired: pl.LazyFrame, functions: pl.LazyFrame, *, marked: bool = False) -> pl.LazyFrame:
    """`schemas.LATENCY`, one row for each function that was called, by falling `total_ns`.

    `paired` are calls as `paired.table` describes them, in its order or a selection that keeps it.
    Functions of one name stay apart where their cookies differ; `marked` adds the column `cookie`.
    """
    status = pl.col("status").cast(pl.String)
    seen = paired.group_by("function").agg(
        calls=pl.len().cast(pl.UInt64),
        **{name: (status == name).sum().cast(pl.UInt64) for name in ("open", "unwound", "lost")},
    )
    times = pl.LazyFrame(_times(paired.filter(status == "complete")))
    table = seen.join(times, on="function", how="left").join(functions, on="function")
    percentiles = [f"{name}_ns" for name in PERCENTILES]
    return table.sort(
        "total_ns", "calls", "function", descending=[True, True, False], nulls_last=True
    ).select(
        pl.col("demangled").alias("function"),
        pl.col("file").alias("module"),
        *("calls", "total_ns", "self_ns", "mean_ns", "stddev_ns", "min_ns", *percentiles, "max_ns"),
        *("open", "unwound", "lost"),
        *(["cookie"] if marked else []),
    )


def _times(complete: pl.LazyFrame) -> pl.DataFrame:
    """Sums and order statistics of complete calls, one row a function."""
    calls = complete.select(
        "function", "tgid", "pid", "duration_ns", "self_ns", "entry_row", "exit_row"
    ).collect()
    function = calls["function"].to_numpy().astype(np.int64)
    duration = calls["duration_ns"].to_numpy()
    ordered, starts = sort_within(function, duration)
    sizes = np.diff(starts)
    present = np.flatnonzero(sizes)
    first, size = starts[present], sizes[present]

    outer = calls.filter(pl.Series(outermost_of(calls, "function")))
    sums = (
        outer.group_by("function")
        .agg(total_ns=pl.col("duration_ns").sum())
        .join(
            calls.group_by("function").agg(
                # All null, as where stacks are switched, is unknown and not nought.
                self_ns=pl.when(pl.col("self_ns").count() > 0).then(pl.col("self_ns").sum()),
                mean_ns=pl.col("duration_ns").mean(),
                stddev_ns=pl.col("duration_ns").std(ddof=0),
            ),
            on="function",
        )
    )
    columns = {"min_ns": ordered[first] if len(first) else first}
    for name, per_mille in PERCENTILES.items():
        columns[f"{name}_ns"] = ordered[first + rank(size, per_mille)]
    columns["max_ns"] = ordered[first + size - 1]
    ranks = pl.DataFrame({"function": present.astype(np.uint32), **columns})
    return ranks.join(sums, on="function")
