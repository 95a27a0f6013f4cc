"""The args report: what functions were given and gave back, and how long that took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from ..schemas import VALUES
from .casts import Cast, kind_of, limits
from .figures import Figures
from .registers_held import Register, octave_bounds

#: How many of the most frequent values are listed.
TOP = 5

_VALUE = pl.Decimal(20, 0)


def arguments(figures: Figures, casts: Sequence[Cast] = (), *, marked: bool = False) -> pl.LazyFrame:
    """`schemas.ARGS`, a row for each function and each of its registers that `figures` have.

    Functions come by falling number of calls. `casts` are those that the figures were made with. `marked`
    adds the columns `type`, string: what a value was cast to, null for a raw register; and `cookie`, as
    functions can share a name.
    """
    calls = dict(
        zip(figures.by_function["function"].tolist(), figures.by_function["calls"].tolist(), strict=True)
    )
    found = sorted(figures.registers.items(), key=lambda item: (-calls[item[0][0]], *item[0]))
    rows = []
    for (row, column), register in found:
        function = figures.functions[row]
        kind = kind_of(casts, (function.demangled, function.symbol), VALUES[column])
        rows.append(
            {
                "function": function.demangled,
                "arg": VALUES[column],
                "count": register.count,
                "nulls": calls[row] - register.count,
                "distinct": register.different,
                "min": register.least,
                "p50": register.median,
                "max": register.greatest,
                "mean": register.total / register.count,
                "top": [{"value": value, "count": count} for value, count in register.top(TOP)],
                "groups": _groups(register, kind or "u64"),
                "type": kind,
                "cookie": function.cookie,
            }
        )
    return _table(rows, marked).lazy()


def _groups(register: Register, kind: str) -> list[dict[str, int]]:
    """Latency by value, or by power of two of its magnitude; 0 is a group of its own."""
    least, greatest = limits(kind)
    found = []
    for key, spread in sorted(register.groups.items()):
        low, high = octave_bounds(key) if register.by_octave else (key, key)
        p50, p99 = spread.percentiles([500, 990])
        found.append(
            {
                "low": max(low, least),
                "high": min(high, greatest),
                "calls": len(spread),
                "p50_ns": p50,
                "p99_ns": p99,
            }
        )
    return found


def _table(rows: list[dict[str, Any]], marked: bool) -> pl.DataFrame:
    wide = pl.Int128
    schema: dict[str, Any] = {
        "function": pl.String,
        "arg": pl.String,
        "count": pl.UInt64,
        "nulls": pl.UInt64,
        "distinct": pl.UInt64,
        "min": wide,
        "p50": wide,
        "max": wide,
        "mean": pl.Float64,
        "top": pl.List(pl.Struct({"value": wide, "count": pl.UInt64})),
        "groups": pl.List(
            pl.Struct({"low": wide, "high": wide, "calls": pl.UInt64, "p50_ns": pl.Int64, "p99_ns": pl.Int64})
        ),
        "type": pl.String,
        "cookie": pl.UInt64,
    }
    frame = pl.DataFrame(
        {name: pl.Series(name, [row[name] for row in rows], kind) for name, kind in schema.items()}
    )
    frame = frame.with_columns(
        pl.col("min", "p50", "max").cast(_VALUE),
        pl.col("top").cast(pl.List(pl.Struct({"value": _VALUE, "count": pl.UInt64}))),
        pl.col("groups").cast(
            pl.List(
                pl.Struct(
                    {
                        "low": _VALUE,
                        "high": _VALUE,
                        "calls": pl.UInt64,
                        "p50_ns": pl.Int64,
                        "p99_ns": pl.Int64,
                    }
                )
            )
        ),
    )
    return frame if marked else frame.drop("type", "cookie")
