"""The threads report."""

from __future__ import annotations

import polars as pl

from ..schemas import TraceMetadata
from .outer import outermost_of


def threads(paired: pl.LazyFrame, metadata: TraceMetadata) -> pl.LazyFrame:
    """`schemas.THREADS`, one row for each thread with calls, by falling `busy_ns`.

    `paired` are calls as `paired.table` describes them, in its order or a selection that keeps it. Every
    event belongs to one call, so the events are those of the calls.
    """
    thread = ["tgid", "pid"]
    calls = paired.select(*thread, "start", "end", "duration_ns", "entry_row", "exit_row").collect()
    complete = calls.filter(pl.col("duration_ns").is_not_null())
    busy = (
        complete.filter(pl.Series(outermost_of(complete)))
        .group_by(thread)
        .agg(busy_ns=pl.col("duration_ns").sum())
    )
    seen = calls.group_by(thread).agg(
        events=(pl.col("entry_row").count() + pl.col("exit_row").count()).cast(pl.UInt64),
        calls=pl.len().cast(pl.UInt64),
        first_ns=pl.min_horizontal(pl.col("start").min(), pl.col("end").min()),
        last_ns=pl.max_horizontal(pl.col("start").max(), pl.col("end").max()),
    )
    known = metadata["threads"]
    names = pl.DataFrame(
        {
            "tgid": pl.Series([t["tgid"] for t in known], dtype=pl.UInt32),
            "pid": pl.Series([t["pid"] for t in known], dtype=pl.UInt32),
            "thread_name": pl.Series([t["name"] for t in known], dtype=pl.String),
        }
    ).unique(thread, keep="last", maintain_order=True)
    return (
        seen.join(busy, on=thread, how="left")
        .join(names, on=thread, how="left")
        .sort("busy_ns", *thread, descending=[True, False, False], nulls_last=True)
        .lazy()
        .select(*thread, "thread_name", "events", "calls", "first_ns", "last_ns", "busy_ns")
    )
