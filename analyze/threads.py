"""The threads report."""

from __future__ import annotations

import polars as pl

from ..schemas import TraceMetadata
from .incarnations import Incarnations


def threads(found: pl.DataFrame, metadata: TraceMetadata) -> pl.LazyFrame:
    """`schemas.THREADS`, one row for each thread with calls, by falling `busy_ns`.

    `found` are the threads of `Figures`. Every event belongs to one call, so the events are those of the
    calls.
    """
    thread = ["tgid", "pid"]
    incarnations = Incarnations(metadata)
    rows = (incarnations.row(*key) for key in found.select(*thread, "number").iter_rows())
    names = pl.Series("thread_name", [row and row["name"] for row in rows], pl.String)
    return (
        found.lazy()
        .with_columns(
            names,
            pl.col(thread).cast(pl.UInt32),
            pl.col("events", "calls").cast(pl.UInt64),
            # Only complete calls have two events.
            pl.when(pl.col("events") > pl.col("calls")).then(pl.col("busy_ns")),
        )
        .sort("busy_ns", *thread, "number", descending=[True, False, False, False], nulls_last=True)
        .select(*thread, "thread_name", "events", "calls", "first_ns", "last_ns", "busy_ns")
    )
