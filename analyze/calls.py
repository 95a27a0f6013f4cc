"""The calls table: every call, with names, arguments and return value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl


def batches(
    paired: pl.LazyFrame, functions: pl.LazyFrame, values: pl.LazyFrame, columns: Sequence[str], rows: int
) -> Iterator[pl.DataFrame]:
    """The calls `paired`, see `paired.table`, in frames of at most `rows` rows: `columns` of `schemas.CALLS`,
    or `function`, or `caller`.

    `values` are the registers that `columns` name, of all events in file order.
    """
    recorded, names = values.collect(), _names(functions)
    for part in paired.collect().iter_slices(rows):
        yield _looked_up(part, names, recorded).select(columns)


def _names(functions: pl.LazyFrame) -> pl.DataFrame:
    return functions.select("cookie", pl.col("demangled", "file").cast(pl.Categorical)).collect()


def _looked_up(calls: pl.DataFrame, table: pl.DataFrame, recorded: pl.DataFrame) -> pl.DataFrame:
    """`calls` with what their function and their events hold."""
    function = calls["function"]
    found = {
        "cookie": table["cookie"].gather(function),
        "name": table["demangled"].gather(function),
        "module": table["file"].gather(function),
    }
    for column in recorded.columns:
        found[column] = recorded[column].gather(calls["exit_row" if column == "ret_val" else "entry_row"])
    return calls.with_columns(**found)
