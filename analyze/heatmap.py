"""The heatmap report: when a function's calls took how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from .arrays import Ints
from .counter import Counter
from .loglinear import bucket_of, coarser, signed_bounds

#: Durations are counted in 8 buckets to each power of two.
BITS = 3
#: Of time there are at most so many slices, each a power of two of ns long: when they become more, pairs of
#: them become one.
SLICES = 1024
#: There are fewer buckets than this.
_BUCKETS = 1 << 10


@dataclass(frozen=True)
class Cell:
    """`calls` calls that began in a slice of time, numbered from the origin, and took as long as a bucket of
    `bits` bits says.
    """

    slice: int
    bucket: int
    calls: int


class Heat:
    """Counts calls by when they began, in ns after some `origin`, and how long they took."""

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self._shift = 0
        self._counter = Counter()

    @property
    def slice_ns(self) -> int:
        return 1 << self._shift

    @property
    def calls(self) -> int:
        return self._counter.total

    def add(self, start: Ints, duration: Ints) -> None:
        if not len(start):
            return
        after = start - self.origin
        low, high = int(after.min()), int(after.max())
        if len(self._counter):
            first, last = self._slices()
            low, high = min(low, first << self._shift), max(high, last << self._shift)
        shift = self._shift
        while (high >> shift) - (low >> shift) >= SLICES:
            shift += 1
        if shift != self._shift:
            keys = self._counter.keys.astype(np.int64)
            slices = (keys >> 10) >> (shift - self._shift)
            self._counter.rekey((slices << 10) | (keys & (_BUCKETS - 1)))
            self._shift = shift
        self._counter.add(((after >> shift) << 10) | bucket_of(duration, BITS))

    def table(self, bits: int = BITS) -> tuple[Ints, Ints, Ints]:
        """Slice, bucket of `bits` bits, and number of calls, of all cells with calls, in order."""
        keys = self._counter.keys.astype(np.int64)
        found = Counter()
        found.merge((keys >> 10 << 10) | coarser(keys & (_BUCKETS - 1), BITS, bits), self._counter.counts)
        return found.keys >> 10, found.keys & (_BUCKETS - 1), found.counts

    def cells(self, bits: int = BITS) -> list[Cell]:
        """The same, cell by cell."""
        return [Cell(*cell) for cell in zip(*(column.tolist() for column in self.table(bits)), strict=True)]

    def _slices(self) -> tuple[int, int]:
        return int(self._counter.keys[0]) >> 10, int(self._counter.keys[-1]) >> 10


def heats(batches: Iterable[pl.DataFrame], origin: int) -> dict[int, Heat]:
    """Complete calls by function, in one pass that keeps no calls.

    `batches` need `function`, `start` and `duration_ns`. Functions without complete calls are not there.
    """
    found: dict[int, Heat] = {}
    for batch in batches:
        complete = batch.select("function", "start", "duration_ns").drop_nulls("duration_ns")
        for (function,), part in complete.partition_by("function", as_dict=True).items():
            heat = found.setdefault(function, Heat(origin))
            heat.add(part["start"].to_numpy(), part["duration_ns"].to_numpy())
    return found


def table(found: dict[int, Heat], functions: pl.LazyFrame) -> pl.LazyFrame:
    """`schemas.HEATMAP`: functions by falling number of calls, then by time and duration."""
    names = functions.select("demangled", "file").collect()
    rows = []
    for function, heat in sorted(found.items(), key=lambda item: (-item[1].calls, item[0])):
        name, file = names.row(function)
        for cell in heat.cells():
            start = heat.origin + cell.slice * heat.slice_ns
            low, high = signed_bounds(cell.bucket, BITS)
            rows.append((name, file, start, start + heat.slice_ns, low, high, cell.calls))
    times = dict.fromkeys(("start", "end", "low_ns", "high_ns"), pl.Int64)
    schema: dict[str, Any] = {"function": pl.String, "module": pl.String, **times, "calls": pl.UInt64}
    return pl.DataFrame(rows, schema=schema, orient="row").lazy()
