"""Figures of calls by NumPy and Polars, of all calls at once: what the compiled walk gathers as they come by.

For calls that someone has chosen in ways of their own, where there is no compiled walk, and to test it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from ..schemas import VALUES, TraceMetadata
from .arrays import Flags, Ints
from .casts import Cast, Values, apply, kind_of
from .figures import Columns, Figures, functions_of, origin_of
from .incarnations import Incarnations
from .outer import outermost_of
from .paths import Paths
from .ranks import sort_within
from .registers_held import FEW, Register, octave_of
from .spread import Spread


def gather(
    paired: pl.LazyFrame,
    metadata: TraceMetadata,
    values: Callable[[Sequence[str]], pl.LazyFrame],
    columns: Sequence[str] = (),
    casts: Sequence[Cast] = (),
    path: str = "",
) -> Figures:
    """Figures of the calls `paired`, as `paired.table` describes them, in its order or a selection that keeps
    it.

    `values(columns)` gives those registers of the events, in file order.
    """
    names = [(function["demangled"], function["symbol"]) for function in metadata["functions"]]
    calls = paired.collect()
    complete = calls.filter(pl.col("status").cast(pl.String) == "complete")
    by_function = _sums(calls, complete, ["function"]).sort("function")
    function = complete["function"].to_numpy().astype(np.int64)
    ordered, starts = sort_within(function, complete["duration_ns"].to_numpy())
    starts = np.append(starts, np.full(len(names) + 1 - len(starts), starts[-1]))
    rows = by_function["function"].to_list()
    durations = [ordered[starts[row] : starts[row + 1]] for row in rows]
    paths = Paths(len(names))
    placed = calls.with_columns(place=pl.Series(paths.place(calls), dtype=pl.Int64))
    by_place = _sums(placed, placed.filter(pl.col("duration_ns").is_not_null()), ["place"]).sort("place")
    return Figures(
        functions=functions_of(metadata),
        by_function=_numbers(by_function)
        | {
            "sum_ns": np.array([each.sum() for each in durations], np.int64),
            "least": np.array([each.min(initial=(1 << 63) - 1) for each in durations], np.int64),
            "greatest": np.array([each.max(initial=-(1 << 63)) for each in durations], np.int64),
        },
        edges=_numbers(_sums(calls, complete, ["caller", "function"]).rename({"function": "callee"})),
        places={"parent": np.array(paths.parents, np.int64), "function": np.array(paths.functions, np.int64)}
        | _numbers(by_place.drop("place")),
        threads=_threads(calls, Incarnations(metadata)),
        squares=[_squares(each) for each in durations],
        durations=[Spread(each) for each in durations],
        registers=_registers(calls, values, columns, casts, names),
        traces=[origin_of(path, metadata)],
    )


def _sums(calls: pl.DataFrame, complete: pl.DataFrame, group: list[str]) -> pl.DataFrame:
    status = pl.col("status").cast(pl.String)
    totals = (
        complete.filter(pl.Series(outermost_of(complete, *group)))
        .group_by(group)
        .agg(total_ns=pl.col("duration_ns").sum())
    )
    return (
        calls.group_by(group)
        .agg(
            calls=pl.len(),
            **{name: (status == name).sum() for name in ("complete", "open", "unwound", "lost")},
            silent=status.null_count(),
            self_known=pl.col("self_ns").count(),
            self_ns=pl.col("self_ns").sum(),
        )
        .join(totals, on=group, how="left", nulls_equal=True)
        .with_columns(pl.col("total_ns").fill_null(0))
    )


def _numbers(frame: pl.DataFrame) -> Columns:
    """Columns as int64, -1 for null."""
    return {name: frame[name].cast(pl.Int64).fill_null(-1).to_numpy() for name in frame.columns}


def _squares(durations: Ints) -> int:
    if len(durations) and max(abs(int(durations.min())), abs(int(durations.max()))) >= 1 << 31:
        return sum(duration * duration for duration in durations.tolist())
    # Sums of halves of the bits don't overflow.
    squares = (durations * durations).view(np.uint64)
    return (int((squares >> np.uint64(32)).sum()) << 32) + int((squares & np.uint64(0xFFFFFFFF)).sum())


def _threads(calls: pl.DataFrame, incarnations: Incarnations) -> Columns:
    thread = ["tgid", "pid", "number"]
    times = calls.select(pl.coalesce("start", "end")).to_series().to_numpy()
    number = incarnations.numbers(calls["tgid"].to_numpy(), calls["pid"].to_numpy(), times)
    calls = calls.with_columns(number=pl.Series(number))
    complete = calls.filter(pl.col("duration_ns").is_not_null())
    busy = (
        complete.filter(pl.Series(outermost_of(complete)))
        .group_by(thread)
        .agg(busy_ns=pl.col("duration_ns").sum())
    )
    seen = calls.group_by(thread).agg(
        calls=pl.len(),
        events=pl.col("entry_row").count() + pl.col("exit_row").count(),
        first_ns=pl.min_horizontal(pl.col("start").min(), pl.col("end").min()),
        last_ns=pl.max_horizontal(pl.col("start").max(), pl.col("end").max()),
    )
    table = seen.join(busy, on=thread, how="left").with_columns(pl.col("busy_ns").fill_null(0)).sort(thread)
    return {"trace": np.zeros(len(table), np.int64)} | _numbers(table)


def _registers(
    calls: pl.DataFrame,
    values: Callable[[Sequence[str]], pl.LazyFrame],
    columns: Sequence[str],
    casts: Sequence[Cast],
    names: Sequence[tuple[str, str]],
) -> dict[tuple[int, int], Register]:
    calls = calls.select("function", "entry_row", "exit_row", "duration_ns").sort("function")
    present, starts, counts = np.unique(calls["function"].to_numpy(), return_index=True, return_counts=True)
    whole = calls["duration_ns"].is_not_null().to_numpy()
    duration = calls["duration_ns"].fill_null(0).to_numpy()
    found = {}
    for column in columns:
        rows = calls["exit_row" if column == "ret_val" else "entry_row"]
        read = values([column]).collect()[column].gather(rows)
        known = read.is_not_null().to_numpy()
        raw = read.fill_null(0).to_numpy()
        for function, start, count in zip(present.tolist(), starts.tolist(), counts.tolist(), strict=True):
            here = start + np.flatnonzero(known[start : start + count])
            if len(here):
                kind = kind_of(casts, names[function], column) or "u64"
                found[function, VALUES.index(column)] = _register(
                    apply(raw[here], kind), duration[here], whole[here]
                )
    return found


def _register(value: Values, duration: Ints, complete: Flags) -> Register:
    """`duration` counts where a call is `complete`."""
    values: Any
    values, counts = np.unique(value, return_counts=True)
    by_octave = len(values) > FEW
    value, duration = value[complete], duration[complete]
    keys, group = np.unique(octave_of(value) if by_octave else value, return_inverse=True)
    ordered, starts = sort_within(group.astype(np.int64), duration)
    return Register(
        count=int(counts.sum()),
        total=sum(one * many for one, many in zip(values.tolist(), counts.tolist(), strict=True)),
        least=int(values[0]),
        greatest=int(values[-1]),
        values=values,
        counts=counts.astype(np.int64),
        groups={
            int(key): Spread(ordered[low:high])
            for key, (low, high) in zip(keys, pairwise(starts), strict=True)
        },
        by_octave=by_octave,
    )
