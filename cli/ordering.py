"""The order of a report's rows, where the user asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

#: Numbers sort from the greatest down, but for these, which number or date things.
ASCENDING = {
    "call_id",
    "parent_id",
    "process",
    "tgid",
    "pid",
    "depth",
    "cookie",
    "start",
    "end",
    "first_ns",
    "last_ns",
}


def ordered(rows: pl.LazyFrame, sort: str | None) -> pl.LazyFrame:
    """`rows` by a column, as they are without one: figures from the greatest down, nulls last."""
    import polars as pl

    if sort is None:
        return rows
    kind = rows.collect_schema()[sort]
    # Categories sort by their number otherwise.
    key = pl.col(sort).cast(pl.String) if isinstance(kind, pl.Categorical) else pl.col(sort)
    descending = kind.is_numeric() and sort not in ASCENDING
    return rows.sort(key, descending=descending, nulls_last=True, maintain_order=True)
