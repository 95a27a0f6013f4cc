"""How busy threads were over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ..analyze.arrays import Ints
from ..analyze.slices import Slices


class Lanes:
    """Adds up the time that threads spent in recorded functions, slice by slice.

    Calls come by in order of (tgid, pid, start). `busy` has a row for each of `threads` (tgid, pid) and a
    column for each slice of the span, ns.
    """

    def __init__(self, threads: Sequence[tuple[int, int]], span: Slices) -> None:
        self._row = {_key(*thread): row for row, thread in enumerate(threads)}
        self._span = span
        self.busy: Ints = np.zeros((len(threads), span.count), np.int64)
        #: Until when the last thread that came by is known to have been busy.
        self._last: tuple[int, int] = (-1, 0)

    def add(self, calls: pl.DataFrame) -> None:
        """Count the complete calls of a part; they need `tgid`, `pid`, `start` and `end`."""
        complete = calls.filter(pl.col("start").is_not_null() & pl.col("end").is_not_null())
        if not len(complete):
            return
        key = (complete["tgid"].cast(pl.Int64).to_numpy() << 32) | complete["pid"].to_numpy()
        start, end = complete["start"].to_numpy(), complete["end"].to_numpy()
        bounds = np.flatnonzero(np.r_[True, np.diff(key) != 0, True])
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            thread = int(key[low])
            before = self._last[1] if self._last[0] == thread else np.iinfo(np.int64).min
            busy_until = np.maximum.accumulate(np.r_[before, end[low:high]])
            self._last = (thread, int(busy_until[-1]))
            row = self._row.get(thread)
            if row is not None:
                # What calls inside others took is in the time of those.
                since = np.maximum(start[low:high], busy_until[:-1])
                more = end[low:high] > since
                self._fill(row, since[more], end[low:high][more])

    def _fill(self, row: int, start: Ints, end: Ints) -> None:
        """Spread the time from `start` to `end` over the slices that it lies in."""
        start = np.clip(start, self._span.start, self._span.end)
        end = np.clip(end, self._span.start, self._span.end)
        first, last = self._span.slice_of(start), self._span.slice_of(end)
        edges = self._span.edges
        busy = self.busy[row]
        same = first == last
        np.add.at(busy, first[same], (end - start)[same])
        first, last, start, end = first[~same], last[~same], start[~same], end[~same]
        np.add.at(busy, first, edges[first + 1] - start)
        np.add.at(busy, last, end - edges[last])
        whole = np.zeros(len(busy) + 1, np.int64)
        np.add.at(whole, first + 1, 1)
        np.add.at(whole, last, -1)
        busy += np.cumsum(whole[:-1]) * np.diff(edges)


def _key(tgid: int, pid: int) -> int:
    return (tgid << 32) | pid
