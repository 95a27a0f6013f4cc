"""The args report: what functions were given and gave back, and how long that took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from .arrays import Addresses, Flags, Ints
from .casts import Cast, Values, apply, check_used, kind_of, limits
from .ranks import rank, sort_within

#: Up to this many different values each gets a latency group of its own.
FEW = 16
#: How many of the most frequent values are listed.
TOP = 5

_POWERS = np.array([1 << k for k in range(64)], np.uint64)
_VALUE = pl.Decimal(20, 0)


def arguments(
    paired: pl.LazyFrame,
    functions: pl.LazyFrame,
    values: Callable[[Sequence[str]], pl.LazyFrame],
    columns: Sequence[str],
    casts: Sequence[Cast] = (),
    *,
    marked: bool = False,
) -> pl.LazyFrame:
    """`schemas.ARGS`, a row for each function and each of `columns` that has values.

    `values(columns)` gives those columns of the events, in file order. Functions come by falling number
    of calls. `marked` adds the columns `type`, string: what a value was cast to, null for a raw register; and
    `cookie`, as functions can share a name.
    Raises UsageError for a cast that applies to nothing.
    """
    calls = paired.select("function", "entry_row", "exit_row", "duration_ns").sort("function").collect()
    table = functions.select("function", "demangled", "symbol", "cookie").collect()
    cookies = table["cookie"].to_list()
    names = list(zip(table["demangled"].to_list(), table["symbol"].to_list(), strict=True))
    check_used(casts, names)
    present, starts, counts = np.unique(calls["function"].to_numpy(), return_index=True, return_counts=True)
    duration = calls["duration_ns"].fill_null(-1).to_numpy()
    found: list[tuple[int, int, int, dict[str, Any]]] = []
    for position, column in enumerate(columns):
        rows = calls["exit_row" if column == "ret_val" else "entry_row"]
        read = values([column]).collect()[column].gather(rows)
        known = read.is_not_null().to_numpy()
        raw = read.fill_null(0).to_numpy()
        for function, start, count in zip(present.tolist(), starts.tolist(), counts.tolist(), strict=True):
            part = slice(start, start + count)
            if not known[part].any():
                continue
            name = names[function]
            kind = kind_of(casts, name, column)
            row = _describe(raw[part][known[part]], duration[part][known[part]], kind)
            row |= {"function": name[0], "arg": column, "nulls": count - row["count"], "type": kind}
            row["cookie"] = cookies[function]
            found.append((-count, function, position, row))
    found.sort(key=lambda item: item[:3])
    return _table([row for *_, row in found], marked).lazy()


def _describe(raw: Addresses, duration: Ints, kind: str | None) -> dict[str, Any]:
    """The distribution of one column of one function; `duration` is -1 where a call isn't complete."""
    value = apply(raw, kind or "u64")
    order = _order(value)
    value, duration = value[order], duration[order]
    first = np.flatnonzero(np.r_[True, value[1:] != value[:-1]])
    counts = np.diff(np.r_[first, len(value)])
    distinct = value[first]
    frequent = np.argsort(-counts, kind="stable")[:TOP]
    middle = int(rank(np.array([len(value)]), 500)[0])
    complete = duration >= 0
    return {
        "count": len(value),
        "distinct": len(distinct),
        "min": int(value[0]),
        "p50": int(value[middle]),
        "max": int(value[-1]),
        "mean": float(value.astype(np.float64).mean()),
        "top": [{"value": int(distinct[i]), "count": int(counts[i])} for i in frequent],
        "groups": _groups(value, duration, complete, len(distinct) <= FEW, kind or "u64"),
    }


def _order(value: Values) -> Ints:
    """The stable order of values."""
    least = value.min()
    span = int(value.max()) - int(least)
    # NumPy sorts 16-bit integers by radix, and most arguments are small numbers, or close together.
    return np.argsort((value - least).astype(np.uint16) if span < 1 << 16 else value, kind="stable")


def _groups(value: Values, duration: Ints, complete: Flags, few: bool, kind: str) -> list[dict[str, int]]:
    """Latency by value: per value, or per power of two of its magnitude; 0 is a group of its own."""
    value, duration = value[complete], duration[complete]
    if not len(value):
        return []
    if few:
        keys, group = np.unique(value, return_inverse=True)
        bounds = [(int(key), int(key)) for key in keys]
    else:
        keys, group = np.unique(_octave(value), return_inverse=True)
        least, greatest = limits(kind)
        bounds = [
            (max(low, least), min(high, greatest)) for low, high in (_octave_bounds(int(key)) for key in keys)
        ]
    ordered, starts = sort_within(group.astype(np.int64), duration)
    sizes = np.diff(starts)
    p50, p99 = (ordered[starts[:-1] + rank(sizes, per_mille)] for per_mille in (500, 990))
    return [
        {"low": low, "high": high, "calls": int(size), "p50_ns": int(half), "p99_ns": int(most)}
        for (low, high), size, half, most in zip(bounds, sizes, p50, p99, strict=True)
    ]


def _octave(value: Values) -> Ints:
    """0 for 0, k for 2^(k-1) … 2^k - 1, -k for their negatives."""
    negative = value < 0
    bits = value.view(np.uint64)
    # In two's complement this is the magnitude, also of -2^63.
    magnitude = np.where(negative, ~bits + np.uint64(1), bits)
    octave = np.searchsorted(_POWERS, magnitude, side="right")
    return np.where(negative, -octave, octave).astype(np.int64)


def _octave_bounds(octave: int) -> tuple[int, int]:
    if octave == 0:
        return 0, 0
    low, high = 1 << (abs(octave) - 1), (1 << abs(octave)) - 1
    return (low, high) if octave > 0 else (-high, -low)


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
