"""How long calls took: a histogram on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import polars as pl

from ..analyze.counter import Counter
from ..analyze.loglinear import bounds_of, bucket_of
from .parts import (
    WIDTH,
    Chart,
    count_axis,
    duration_text,
    function_names,
    latency_axis,
    limits,
    log_scale,
    title,
)

if TYPE_CHECKING:
    from ..analyze.selection import Chosen
    from ..analyze.trace import Trace

#: Buckets to each power of two, as a power of two.
BITS = 2
_BUCKETS = 1 << 8
#: Functions that are drawn where none are named.
TOP = 5


def latency(
    trace: Trace,
    functions: str | Sequence[str] | None = None,
    *,
    paired: Chosen | None = None,
) -> Chart:
    """How the durations of complete calls are distributed.

    `functions` are names or globs, by default the 5 functions with the most time; each has a row of its
    own. That of a single one marks the median and the 99th percentile. Raises UsageError where a name
    matches no function.
    """
    chosen = trace.of(functions, paired)
    counter, names = Counter(), function_names(trace)
    for batch in trace.call_batches(["function", "duration_ns"], paired=chosen):
        complete = batch.drop_nulls("duration_ns")
        function = complete["function"].cast(pl.Int64).to_numpy()
        counter.add(function * _BUCKETS + bucket_of(complete["duration_ns"].to_numpy(), BITS))
    function, bucket = np.divmod(counter.keys, _BUCKETS)
    low, high = bounds_of(bucket, BITS)
    rows = pl.DataFrame(
        {
            "function": function,
            # The axis has no zero.
            "from_ns": np.maximum(low, 1).astype(np.int64),
            "to_ns": (high + np.uint64(1)).astype(np.int64),
            "calls": counter.counts,
        }
    )
    figures = _figures(trace, chosen)
    order = [row for row in figures["row"].to_list() if row in set(function.tolist())]
    if functions is None:
        order = order[:TOP]
    rows = rows.filter(pl.col("function").is_in(order)).with_columns(
        pl.col("function").replace_strict(dict(enumerate(names)), return_dtype=pl.String)
    )
    span = limits(rows, "from_ns", "to_ns")
    bars = (
        alt.Chart(rows)
        .mark_bar(binSpacing=0.5)
        .encode(
            x=alt.X("from_ns:Q", bin="binned", scale=log_scale(*span), axis=latency_axis(*span)),
            x2="to_ns:Q",
            y=alt.Y(
                "calls:Q", scale=alt.Scale(type="symlog"), axis=count_axis(int(counter.counts.max(initial=1)))
            ),
            tooltip=["function:N", "from_ns:Q", "to_ns:Q", "calls:Q"],
        )
    )
    if len(order) == 1:
        marks = figures.filter(pl.col("row") == order[0]).select("p50_ns", "p99_ns").unpivot()
        marks = marks.with_columns(
            label=pl.struct("variable", "value").map_elements(
                lambda mark: f"{mark['variable'].removesuffix('_ns')} {duration_text(mark['value'])}",
                return_dtype=pl.String,
            )
        )
        rules = alt.Chart(marks).mark_rule(color="#c2410c", strokeDash=[4, 3]).encode(x="value:Q")
        labels = (
            alt.Chart(marks)
            .mark_text(color="#c2410c", baseline="bottom")
            .encode(x="value:Q", y=alt.value(-3), text="label:N")
        )
        heading = title(f"Latency of {names[order[0]]}", trace, chosen)
        return alt.layer(bars, rules, labels).properties(width=WIDTH, height=240, title=heading)
    rows_of = alt.Row(
        "function:N",
        sort=[names[row] for row in order],
        header=alt.Header(title=None, labelAngle=0, labelAlign="left", labelLimit=240),
    )
    chart: Chart = (
        bars.properties(width=WIDTH - 160, height=70)
        .facet(row=rows_of)
        .resolve_scale(y="independent")
        .properties(title=title("Latency by function", trace, chosen))
    )
    return chart


def _figures(trace: Trace, chosen: Chosen) -> pl.DataFrame:
    """Percentiles by row of the function table, most time first."""
    cookies = trace.functions.select("cookie", row="function")
    figures = trace.latency(chosen, marked=True).select("cookie", "p50_ns", "p99_ns").collect()
    return figures.join(cookies.collect(), on="cookie", how="left", maintain_order="left")
