"""The callgraph report: edges from caller to callee."""

from __future__ import annotations

import polars as pl

from .outer import outermost_of


def edges(paired: pl.LazyFrame, functions: pl.LazyFrame, *, marked: bool = False) -> pl.LazyFrame:
    """`schemas.CALLGRAPH`, one row for each pair of functions one of which called the other, by falling
    `total_ns`; calls without a recorded caller have a null one.

    `paired` are calls as `paired.table` describes them, in its order or a selection that keeps it.
    `marked` adds the columns `caller_cookie` and `callee_cookie`, as functions can share a name.
    """
    edge = ["caller", "function"]
    needs = [*edge, "tgid", "pid", "duration_ns", "self_ns", "entry_row", "exit_row"]
    calls = paired.select(needs).collect()
    complete = calls.filter(pl.col("duration_ns").is_not_null())
    outer = complete.filter(pl.Series(outermost_of(complete, *edge)))
    seen = calls.group_by(edge).agg(
        calls=pl.len().cast(pl.UInt64),
        self_ns=pl.when(pl.col("self_ns").count() > 0).then(pl.col("self_ns").sum()),
    )
    total = outer.group_by(edge).agg(total_ns=pl.col("duration_ns").sum())
    names = functions.select("function", "demangled", "file", "cookie").collect()
    return (
        seen.join(total, on=edge, how="left", nulls_equal=True)
        .join(names, on="function", how="left")
        .join(
            names.rename(lambda name: f"{name}_of_caller"),
            left_on="caller",
            right_on="function_of_caller",
            how="left",
        )
        .sort(
            "total_ns", "calls", "caller", "function", descending=[True, True, False, False], nulls_last=True
        )
        .lazy()
        .select(
            pl.col("demangled_of_caller").alias("caller"),
            pl.col("file_of_caller").alias("caller_module"),
            pl.col("demangled").alias("callee"),
            pl.col("file").alias("callee_module"),
            *("calls", "total_ns", "self_ns"),
            *([pl.col("cookie_of_caller").alias("caller_cookie")] if marked else []),
            *([pl.col("cookie").alias("callee_cookie")] if marked else []),
        )
    )
