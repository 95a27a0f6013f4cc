"""What a sampled trace stands for, beside what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cells import counts, times
from .table import Column

if TYPE_CHECKING:
    import polars as pl

    from ..schemas import TraceMetadata


def with_estimates(frame: pl.DataFrame, metadata: TraceMetadata) -> pl.DataFrame:
    """`frame` and, where the trace is a sample of one in N, N times its `calls` and `total_ns`."""
    import polars as pl

    sample = metadata["filters"]["sample"]
    if sample is None or not {"calls", "total_ns"} <= set(frame.columns):
        return frame
    return frame.with_columns(est_calls=pl.col("calls") * sample, est_total_ns=pl.col("total_ns") * sample)


def estimates(frame: pl.DataFrame) -> list[Column]:
    """The columns for what `with_estimates` has added."""
    if "est_calls" not in frame.columns:
        return []
    return [
        Column("EST CALLS", counts(frame, "est_calls"), rank=1),
        Column("EST TOTAL", times(frame, "est_total_ns"), rank=1),
    ]
