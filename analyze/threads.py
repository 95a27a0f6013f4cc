"""The threads report."""

from __future__ import annotations

import polars as pl

from ..schemas import TraceMetadata
from .figures import Figures


def threads(figures: Figures, metadata: TraceMetadata) -> pl.LazyFrame:
    """`schemas.THREADS`, one row for each thread with calls, by falling `busy_ns`.

    Every event belongs to one call, so the events are those of the calls.
    """
    thread = ["tgid", "pid"]
    known = metadata["threads"]
    names = pl.LazyFrame(
        {
            "tgid": pl.Series([t["tgid"] for t in known], dtype=pl.UInt32),
            "pid": pl.Series([t["pid"] for t in known], dtype=pl.UInt32),
            "thread_name": pl.Series([t["name"] for t in known], dtype=pl.String),
        }
    ).unique(thread, keep="last", maintain_order=True)
    return (
        pl.LazyFrame(figures.threads)
        .with_columns(
            pl.col(thread).cast(pl.UInt32),
            pl.col("events", "calls").cast(pl.UInt64),
            # Only complete calls have two events.
            pl.when(pl.col("events") > pl.col("calls")).then(pl.col("busy_ns")),
        )
        .join(names, on=thread, how="left")
        .sort("busy_ns", *thread, descending=[True, False, False], nulls_last=True)
        .select(*thread, "thread_name", "events", "calls", "first_ns", "last_ns", "busy_ns")
    )
