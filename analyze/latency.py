"""The latency report: how often and how long each function ran."""

from __future__ import annotations

from math import sqrt
from typing import Any

import polars as pl

from .figures import Figures
from .ranks import PERCENTILES

_TIMES = {
    "total_ns": pl.Int64,
    "self_ns": pl.Int64,
    "mean_ns": pl.Float64,
    "stddev_ns": pl.Float64,
    "min_ns": pl.Int64,
    **{f"{name}_ns": pl.Int64 for name in PERCENTILES},
    "max_ns": pl.Int64,
}


def latency(figures: Figures, *, marked: bool = False) -> pl.LazyFrame:
    """`schemas.LATENCY`, one row for each function that was called, by falling `total_ns`.

    Functions of one name stay apart where their cookies differ; `marked` adds the column `cookie`.
    """
    table = figures.by_function
    functions = [figures.functions[row] for row in table["function"].tolist()]
    times = [_times(figures, row) for row in range(len(functions))]
    counts = ("calls", "open", "unwound", "lost")
    columns = {
        "function": pl.Series([function.demangled for function in functions], dtype=pl.String),
        "module": pl.Series([function.file for function in functions], dtype=pl.String),
        **{name: pl.Series(table[name]).cast(pl.UInt64) for name in counts},
        **{name: pl.Series([row.get(name) for row in times], dtype=kind) for name, kind in _TIMES.items()},
        "cookie": pl.Series([function.cookie for function in functions], dtype=pl.UInt64),
        "row": pl.Series(table["function"]),
    }
    return (
        pl.LazyFrame(columns)
        .sort("total_ns", "calls", "row", descending=[True, True, False], nulls_last=True)
        .select("function", "module", "calls", *_TIMES, *counts[1:], *(["cookie"] if marked else []))
    )


def _times(figures: Figures, row: int) -> dict[str, Any]:
    """Sums and order statistics of the complete calls of a function, if there are any."""
    table = {name: int(column[row]) for name, column in figures.by_function.items()}
    count = table["complete"]
    if not count:
        return {}
    total, squares = table["sum_ns"], figures.squares[row]
    least, greatest = table["least"], table["greatest"]
    ranks = figures.durations[row].percentiles(list(PERCENTILES.values()), least, greatest)
    return {
        "total_ns": table["total_ns"],
        # Where none is known, as where stacks are switched, the sum is unknown and not nought.
        "self_ns": table["self_ns"] if table["self_known"] else None,
        "mean_ns": total / count,
        "stddev_ns": sqrt(max(count * squares - total * total, 0) / (count * count)),
        "min_ns": least,
        **{f"{name}_ns": value for name, value in zip(PERCENTILES, ranks, strict=True)},
        "max_ns": greatest,
    }
