"""The hist report: how a function's durations, or the values of a register, are distributed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import polars as pl

from .casts import apply
from .tally import Span, Tally

#: Up to this many different values of a register have a row each.
FEW = 16
DURATION = "duration_ns"


def tallies(
    batches: Iterable[pl.DataFrame], value: str, kind_of: Callable[[int, str], str | None]
) -> dict[int, Tally]:
    """The values of the column `value` of calls, by function, in one pass that keeps no calls.

    `batches` need `function` and that column, which is `duration_ns`, or a register that is read as
    `kind_of(function, value)`, raw where that is None. Functions without a value are not there.
    """
    found: dict[int, Tally] = {}
    for batch in batches:
        known = batch.select("function", value).drop_nulls(value)
        for (function,), part in known.partition_by("function", as_dict=True).items():
            values = part[value].to_numpy()
            if value != DURATION:
                values = apply(values, kind_of(function, value) or "u64")
            found.setdefault(function, Tally()).add(values)
    return found


def spans(tally: Tally, value: str) -> list[Span]:
    """The rows of a function: a value each where those of a register are few, else log-linear buckets."""
    each = tally.values() if value != DURATION else None
    return each if each is not None and len(each) <= FEW else tally.spans()


def table(found: dict[int, Tally], value: str, functions: pl.LazyFrame) -> pl.LazyFrame:
    """`schemas.HIST`: functions by falling number of calls, their values ascending."""
    names = functions.select("demangled", "file").collect()
    rows = [
        (*names.row(function), value, Decimal(span.low), Decimal(span.high), span.calls)
        for function, tally in sorted(found.items(), key=lambda item: (-item[1].calls, item[0]))
        for span in spans(tally, value)
    ]
    schema: dict[str, Any] = {
        "function": pl.String,
        "module": pl.String,
        "value": pl.String,
        "low": pl.Decimal(20, 0),
        "high": pl.Decimal(20, 0),
        "calls": pl.UInt64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").lazy()
