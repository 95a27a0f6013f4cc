"""One pass over the calls: all that the pictures need and no report has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ..analyze.arrays import Ints
from ..analyze.counter import Counter
from ..analyze.flame import Flame, Tree
from ..analyze.loglinear import bucket_of
from ..analyze.slices import Slices
from . import budget
from .lanes import Lanes

#: The columns of calls that `gather` needs.
NEEDS = (
    *("function", "tgid", "pid", "depth", "call_id", "parent_id"),
    *("start", "end", "duration_ns", "self_ns"),
)
#: Latencies are counted in 2**BITS buckets to each power of two.
BITS = 2
#: There are fewer buckets of durations than this.
_BUCKETS = 1 << 8
#: Paths that took less of the time are not drawn.
LEAST_SHARE = 1e-5


@dataclass(frozen=True)
class Gathered:
    """`histogram` has `function`, `bucket`, `calls`; `heat` also `slice`; both are of complete calls."""

    tree: Tree
    histogram: pl.DataFrame
    heat: pl.DataFrame
    lanes: Lanes


def gather(
    batches: Iterable[pl.DataFrame],
    functions: int,
    mapped: Sequence[int],
    heat_span: Slices,
    threads: Sequence[tuple[int, int]],
    lane_span: Slices,
) -> Gathered:
    """Add up calls, which come in order of (tgid, pid, start).

    `functions` is how many there are; those of `mapped` get heat maps, and `threads` (tgid, pid) lanes.
    """
    flame = Flame(functions)
    lanes = Lanes(threads, lane_span)
    histogram, heat = Counter(), Counter()
    for batch in batches:
        flame.add(batch)
        lanes.add(batch)
        complete = batch.select("function", "start", "duration_ns").drop_nulls()
        function = complete["function"].cast(pl.Int64).to_numpy()
        bucket = bucket_of(complete["duration_ns"].to_numpy(), BITS)
        histogram.add(function * _BUCKETS + bucket)
        drawn = np.isin(function, mapped)
        slices = heat_span.slice_of(complete["start"].to_numpy()[drawn])
        heat.add((function[drawn] * heat_span.count + slices) * _BUCKETS + bucket[drawn])
    return Gathered(
        flame.tree(budget.PLACES, LEAST_SHARE),
        _table(histogram, bucket=_BUCKETS),
        _table(heat, slice=heat_span.count, bucket=_BUCKETS),
        lanes,
    )


def _table(counter: Counter, **parts: int) -> pl.DataFrame:
    """Counts by `function` and `parts`, which have so many values each, as their keys were packed."""
    columns: dict[str, Ints] = {"calls": counter.counts}
    rest = counter.keys
    for name, values in reversed(parts.items()):
        rest, columns[name] = np.divmod(rest, values)
    return pl.DataFrame({"function": rest, **dict(reversed(columns.items()))})
