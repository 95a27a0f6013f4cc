"""When calls began and how long they took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import polars as pl

from ..analyze.counter import Counter
from ..analyze.loglinear import bounds_of, bucket_of
from ..analyze.slices import Slices
from .parts import WIDTH, Chart, latency_axis, limits, log_scale, title

if TYPE_CHECKING:
    from ..analyze.selection import Chosen
    from ..analyze.trace import Trace

BITS = 2
_BUCKETS = 1 << 8
SLICES = 80


def heatmap(
    trace: Trace, functions: str | Sequence[str] | None = None, *, paired: Chosen | None = None
) -> Chart:
    """How many complete calls of `functions` (names or globs, by default all) began when and took how long.

    Raises UsageError where a name matches no function.
    """
    chosen = trace.chosen(trace.of(functions, paired))
    began = trace.metadata["started"]["monotonic_ns"]
    first, last = chosen.select(pl.col("start").min(), pl.col("start").max().alias("last")).collect().row(0)
    span = Slices(first or began, 1 + (last or began), SLICES)
    counter = Counter()
    for batch in trace.call_batches(["start", "duration_ns"], paired=chosen):
        complete = batch.drop_nulls("duration_ns")
        bucket = bucket_of(complete["duration_ns"].to_numpy(), BITS)
        counter.add(span.slice_of(complete["start"].to_numpy()) * _BUCKETS + bucket)
    slices, bucket = np.divmod(counter.keys, _BUCKETS)
    low, high = bounds_of(bucket, BITS)
    edges = (span.edges - began) / 10**9
    rows = pl.DataFrame(
        {
            "from_s": edges[slices],
            "to_s": edges[slices + 1],
            "from_ns": np.maximum(low, 1).astype(np.int64),
            "to_ns": (high + np.uint64(1)).astype(np.int64),
            "calls": counter.counts,
        }
    )
    ends = limits(rows, "from_ns", "to_ns")
    what = (
        "all calls"
        if functions is None
        else ", ".join([functions] if isinstance(functions, str) else functions)
    )
    chart: Chart = (
        alt.Chart(rows)
        .mark_rect()
        .encode(
            x=alt.X("from_s:Q", title="began, s after the start", scale=alt.Scale(zero=False, nice=False)),
            x2="to_s:Q",
            y=alt.Y("from_ns:Q", scale=log_scale(*ends), axis=latency_axis(*ends)),
            y2="to_ns:Q",
            color=alt.Color("calls:Q", scale=alt.Scale(type="log", scheme="goldred"), title="calls"),
            tooltip=["from_s:Q", "from_ns:Q", "to_ns:Q", "calls:Q"],
        )
        .properties(width=WIDTH, height=260, title=title(f"Latency over time: {what}", trace, chosen))
    )
    return chart
