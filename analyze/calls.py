"""The calls table: every call, with names, arguments and return value."""

from __future__ import annotations

import polars as pl

from ..schemas import CALLS


def calls(paired: pl.LazyFrame, functions: pl.LazyFrame, values: pl.LazyFrame) -> pl.LazyFrame:
    """`schemas.CALLS`, in the order of `paired`, calls as `pairing.pair` gives them.

    `values` are the columns `arg0` … `ret_val` of all events, in file order.
    """
    frame = paired.collect()
    recorded = values.collect()
    table = functions.select("cookie", pl.col("demangled", "file").cast(pl.Categorical)).collect()
    function = frame["function"]
    looked_up = {
        "cookie": table["cookie"].gather(function),
        "name": table["demangled"].gather(function),
        "module": table["file"].gather(function),
    }
    for column in recorded.columns:
        looked_up[column] = recorded[column].gather(frame["exit_row" if column == "ret_val" else "entry_row"])
    return frame.with_columns(**looked_up).lazy().select(CALLS.names)
