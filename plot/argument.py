"""How long calls took by the value of an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import polars as pl

from ..analyze.registers import are_pointers
from ..errors import UsageError
from ..printable import printable
from .parts import WIDTH, Chart, latency_axis, limits, log_scale, title

_P99 = "#c2410c"

if TYPE_CHECKING:
    from ..analyze.selection import Chosen
    from ..analyze.trace import Trace


def argument(
    trace: Trace,
    function: str,
    arg: str = "arg0",
    kind: str | None = None,
    *,
    paired: Chosen | None = None,
) -> Chart:
    """The median and the 99th percentile of the durations of complete calls of `function`, by the value of
    `arg`: `arg0` … `arg5` or `ret_val`.

    `kind` is the type to read the register as (`i32`, see `--as`). Up to 16 different values have a row
    each, more are grouped by power of two. Raises UsageError where there is no such function or value, or
    several functions match.
    """
    chosen = trace.of(function, paired)
    casts = [] if kind is None else [f"{function}:{arg}={kind}"]
    found = trace.arguments(casts, chosen, marked=True).filter(pl.col("arg") == arg).collect()
    if len(found) != 1:
        raise UsageError(
            f"{function} has no {arg} in this trace"
            if not len(found)
            else f"{function} means {len(found)} functions: {', '.join(found['function'].to_list())}",
            "`funcsnoop analyze args` lists functions and their values",
        )
    row = found.to_dicts()[0]
    if kind is None and are_pointers(row) and any(group["low"] != group["high"] for group in row["groups"]):
        raise UsageError(
            f"the values of {arg} of {function} are many addresses, and how large one is says nothing",
            "choose another argument, or give the kind that it has",
        )
    rows = pl.DataFrame(
        [
            {
                "value": _span(int(group["low"]), int(group["high"])),
                "calls": group["calls"],
                "p50_ns": max(group["p50_ns"], 1),
                "p99_ns": max(group["p99_ns"], 1),
            }
            for group in row["groups"]
        ],
        schema={"value": pl.String, "calls": pl.UInt64, "p50_ns": pl.Int64, "p99_ns": pl.Int64},
    )
    low, high = limits(rows, "p50_ns", "p99_ns")
    ends = 0.8 * low, 2 * high
    base = alt.Chart(rows).encode(
        y=alt.Y("value:N", sort=rows["value"].to_list(), title=None),
        tooltip=["value:N", alt.Tooltip("calls:Q", format=","), "p50_ns:Q", "p99_ns:Q"],
    )
    axis = latency_axis(*ends, "duration: p50 (point) to p99 (tick)")
    x = alt.X("p50_ns:Q", scale=log_scale(*ends), axis=axis)
    what = arg if kind is None else f"{arg} as {kind}"
    return alt.layer(
        base.mark_rule(color=_P99).encode(x=x, x2="p99_ns:Q"),
        base.mark_tick(color=_P99, thickness=2).encode(x="p99_ns:Q"),
        base.mark_point(filled=True, opacity=1, size=90).encode(x=x),
        base.transform_calculate(count="format(datum.calls, ',') + ' calls'")
        .mark_text(align="left", dx=8, color="gray")
        .encode(x="p99_ns:Q", text="count:N"),
    ).properties(
        width=WIDTH, title=title(f"Latency of {printable(row['function'])} by {what}", trace, chosen)
    )


def _span(low: int, high: int) -> str:
    def value(number: int) -> str:
        return hex(number) if number >= 1 << 32 else str(number)

    return value(low) if low == high else f"{value(low)} … {value(high)}"
