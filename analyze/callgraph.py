"""The callgraph report: edges from caller to callee, and the calling-context tree."""

from __future__ import annotations

import numpy as np
import polars as pl

from .figures import Columns, Figures


def edges(figures: Figures, *, marked: bool = False) -> pl.LazyFrame:
    """`schemas.CALLGRAPH`, one row for each pair of functions one of which called the other, by falling
    `total_ns`; calls without a recorded caller have a null one.

    `marked` adds the columns `caller_cookie` and `callee_cookie`, as functions can share a name.
    """
    table = figures.edges
    columns: dict[str, pl.Series] = {}
    for side in ("caller", "callee"):
        rows = [None if row < 0 else row for row in table[side].tolist()]
        found = [None if row is None else figures.functions[row] for row in rows]
        columns[f"{side}_row"] = pl.Series(rows, dtype=pl.Int64)
        columns[side] = pl.Series([f and f.demangled for f in found], dtype=pl.String)
        columns[f"{side}_module"] = pl.Series([f and f.file for f in found], dtype=pl.String)
        columns[f"{side}_cookie"] = pl.Series([f and f.cookie for f in found], dtype=pl.UInt64)
    return (
        pl.LazyFrame(columns | _figures(table))
        .sort(
            "total_ns",
            "calls",
            "caller_row",
            "callee_row",
            descending=[True, True, False, False],
            nulls_last=True,
        )
        .select(
            *("caller", "caller_module", "callee", "callee_module", "calls", "total_ns", "self_ns"),
            *(["caller_cookie", "callee_cookie"] if marked else []),
        )
    )


def tree(figures: Figures) -> pl.LazyFrame:
    """A row for each path of functions that calls took, parents before children:

    `node`, `parent` (uint32, null at a root), `function` (uint32, a place in `figures.functions`), `calls`
    (uint64), `total_ns` and `self_ns` (int64; null where no call is complete), `level` (uint32, from 0).

    A function stands on a path once: a call of one that is already on its path, whether direct or mutual
    recursion, counts at that earlier place. `total_ns` takes the outermost complete calls of a place. A call
    whose caller is not among the chosen ones is a root.
    """
    table = figures.places
    parents = table["parent"].tolist()
    levels: list[int] = []
    for parent in parents:
        levels.append(0 if parent < 0 else levels[parent] + 1)
    columns = {
        "node": pl.Series(np.arange(len(parents), dtype=np.uint32)),
        "parent": pl.Series([None if parent < 0 else parent for parent in parents], dtype=pl.UInt32),
        "function": pl.Series(table["function"].astype(np.uint32)),
        **_figures(table),
        "level": pl.Series(levels, dtype=pl.UInt32),
    }
    return pl.LazyFrame(columns)


def _figures(table: Columns) -> dict[str, pl.Series]:
    def known(column: str, count: str) -> pl.Series:
        frame = pl.DataFrame({"value": table[column], "count": table[count]})
        return frame.select(pl.when(pl.col("count") > 0).then(pl.col("value"))).to_series()

    return {
        "calls": pl.Series(table["calls"].astype(np.uint64)),
        "total_ns": known("total_ns", "complete"),
        "self_ns": known("self_ns", "self_known"),
    }
