"""What a thread did, when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import polars as pl

from ..analyze.arrays import Ints
from ..analyze.counter import Counter
from ..analyze.slices import Slices
from ..errors import UsageError
from ..printable import printable
from .parts import WIDTH, Chart, duration_text, function_names, title

if TYPE_CHECKING:
    from ..analyze.selection import Chosen
    from ..analyze.trace import Trace

#: Calls that take less than one of so many slices of the time are drawn together.
SLICES = 320
#: A chart has no more rows; what is deepest goes.
MOST = 5000
#: Functions with a colour of their own, those that fill most of the chart.
COLOURED = 9


def timeline(trace: Trace, pid: int | None = None, *, paired: Chosen | None = None) -> Chart:
    """The complete calls of a thread over time, callees below their callers.

    `pid` is the thread's id, by default that of the busiest. Calls that would be too short to see are drawn
    together, slice by slice, as the function that took most of the slice. Drag and scroll to look closer; to
    see more there, draw fewer calls: `paired=trace.paired.filter(...)`. Raises UsageError where the thread
    has no calls.
    """
    chosen = trace.chosen(paired)
    thread = _thread(trace, chosen, pid)
    own = chosen.filter((pl.col("pid") == thread["pid"]) & (pl.col("tgid") == thread["tgid"]))
    span = Slices(thread["first_ns"], thread["last_ns"] + 1, SLICES)
    drawn = _Drawn(span, len(trace.metadata["functions"]))
    for batch in trace.call_batches(["function", "depth", "start", "end"], paired=own):
        drawn.add(batch.drop_nulls(["start", "end"]))
    rows = drawn.rows()
    name: str | None = thread["thread_name"]
    notes = [f"thread {thread['pid']}" + (f" {printable(name)}" if name else "")]
    if len(rows) > MOST:
        per_depth = rows.group_by("depth").len().sort("depth")
        fitting = per_depth.filter(pl.col("len").cum_sum() <= MOST)
        deepest = int(fitting.select(pl.col("depth").max()).item() or 0)
        rows = rows.filter(pl.col("depth") <= deepest)
        notes.append(f"calls deeper than {deepest} are not drawn")
    names = function_names(trace)
    began = trace.metadata["started"]["monotonic_ns"]
    filling = (
        rows.group_by("function").agg(pl.col("busy").sum()).sort("busy", "function", descending=[True, False])
    )
    coloured = filling["function"].head(COLOURED).to_list()
    table = rows.select(
        function=pl.col("function").replace_strict(dict(enumerate(names)), return_dtype=pl.String),
        colour=pl.when(pl.col("function").is_in(coloured))
        .then(pl.col("function").replace_strict(dict(enumerate(names)), return_dtype=pl.String))
        .otherwise(pl.lit("others")),
        from_s=(pl.col("start") - began) / 10**9,
        to_s=(pl.col("end") - began) / 10**9,
        depth="depth",
        below=pl.col("depth") + 0.92,
        calls="calls",
        time=pl.Series([duration_text(ns) for ns in rows["busy"].to_list()], dtype=pl.String),
        filled=(pl.col("busy") / (pl.col("end") - pl.col("start"))).clip(0.15, 1),
    )
    levels = int(rows.select(pl.col("depth").max()).item() or 0) + 1
    order = [names[function] for function in coloured] + ["others"]
    zoom = alt.selection_interval(bind="scales", encodings=["x"])
    chart: Chart = (
        alt.Chart(table)
        .mark_rect()
        .encode(
            x=alt.X("from_s:Q", title="s after the start", scale=alt.Scale(zero=False, nice=False)),
            x2="to_s:Q",
            y=alt.Y("depth:Q", axis=None, scale=alt.Scale(domain=[levels, 0], nice=False)),
            y2="below:Q",
            color=alt.Color(
                "colour:N",
                sort=order,
                title=None,
                scale=alt.Scale(scheme="tableau10"),
                legend=alt.Legend(labelLimit=260),
            ),
            opacity=alt.Opacity("filled:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None),
            tooltip=["function:N", "time:N", alt.Tooltip("calls:Q", format=","), "from_s:Q", "to_s:Q"],
        )
        .add_params(zoom)
        .properties(width=WIDTH, height=max(60, 22 * levels), title=title("Timeline", trace, own, *notes))
    )
    return chart


class _Drawn:
    """Rectangles: long calls as they are, short ones added up by depth and slice."""

    def __init__(self, span: Slices, functions: int) -> None:
        self._span = span
        self._kinds = max(functions, 1)
        self._least = max((span.end - span.start) // span.count, 1)
        self._long: list[pl.DataFrame] = []
        # By depth, slice and function: ns, and calls.
        self._busy, self._calls = Counter(), Counter()

    def add(self, calls: pl.DataFrame) -> None:
        took = pl.col("end") - pl.col("start")
        self._long.append(calls.filter(took >= self._least))
        short = calls.filter(took < self._least)
        start, end = short["start"].to_numpy(), short["end"].to_numpy()
        place = short["depth"].cast(pl.Int64).to_numpy() * self._span.count + self._span.slice_of(start)
        keys = place * self._kinds + short["function"].cast(pl.Int64).to_numpy()
        found, which = np.unique(keys, return_inverse=True)
        self._calls.merge(found, np.bincount(which, minlength=len(found)).astype(np.int64))
        busy: Ints = np.zeros(len(found), np.int64)
        np.add.at(busy, which, end - start)
        self._busy.merge(found, busy)

    def rows(self) -> pl.DataFrame:
        """`function`, `depth`, `start`, `end`, `calls`, `busy` (ns), all int64."""
        place, function = np.divmod(self._busy.keys, self._kinds)
        depth, slices = np.divmod(place, self._span.count)
        edges = self._span.edges
        short = (
            pl.DataFrame(
                {
                    "function": function,
                    "depth": depth,
                    "start": edges[slices],
                    "end": edges[slices + 1],
                    "calls": self._calls.counts,
                    "busy": self._busy.counts,
                }
            )
            .sort("busy", descending=True, maintain_order=True)
            .group_by("depth", "start", "end", maintain_order=True)
            .agg(pl.col("function").first(), pl.col("calls").sum(), pl.col("busy").sum())
        )
        columns = ["function", "depth", "start", "end", "calls", "busy"]
        long = [
            part.with_columns(calls=pl.lit(1), busy=pl.col("end") - pl.col("start")).select(
                pl.col(columns).cast(pl.Int64)
            )
            for part in self._long
        ]
        return pl.concat([short.select(pl.col(columns).cast(pl.Int64)), *long]).sort("depth", "start")


def _thread(trace: Trace, chosen: pl.LazyFrame, pid: int | None) -> dict[str, Any]:
    threads = trace.threads(chosen).collect()
    found = threads if pid is None else threads.filter(pl.col("pid") == pid)
    if not len(found):
        raise UsageError(
            "there are no calls to draw" if pid is None else f"thread {pid} has no calls in the trace",
            f"threads with calls: {', '.join(map(str, threads['pid'].head(8).to_list())) or 'none'}",
        )
    return found.row(0, named=True)
