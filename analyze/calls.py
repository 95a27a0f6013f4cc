"""The calls table: every call, with names, arguments and return value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from ..schemas import CALLS


def calls(paired: pl.LazyFrame, functions: pl.LazyFrame, values: pl.LazyFrame) -> pl.LazyFrame:
    """`schemas.CALLS`, in the order of `paired`, calls as `paired.table` describes them.

    `values` are the columns `arg0` … `ret_val` of all events, in file order.
    """
    return _looked_up(paired.collect(), _names(functions), values.collect()).lazy().select(CALLS.names)


def batches(
    paired: pl.LazyFrame, functions: pl.LazyFrame, values: pl.LazyFrame, columns: Sequence[str], rows: int
) -> Iterator[pl.DataFrame]:
    """The same calls in frames of at most `rows` rows: `columns` of `schemas.CALLS`, or `function`.

    `values` need hold only those that `columns` name.
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
