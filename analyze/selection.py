"""Which calls of a trace something is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import polars as pl

from . import filters


@dataclass(frozen=True)
class Layer:
    """Calls of the functions `rows` of the function table; with `beneath` also what runs inside them."""

    rows: tuple[int, ...]
    beneath: bool = False


@dataclass(frozen=True)
class Selection:
    """Calls that are in all of `layers`; of the processes `tgids` and the threads `pids`, None for all; and
    that began at `since` or later and before `until` (CLOCK_MONOTONIC, ns).

    It chooses among calls that are already paired and nested. Without arguments it is all calls.
    """

    layers: tuple[Layer, ...] = ()
    tgids: frozenset[int] | None = None
    pids: frozenset[int] | None = None
    since: int | None = None
    until: int | None = None

    def of_functions(self, rows: Sequence[int], *, beneath: bool = False) -> Selection:
        """Those of these that are of the functions `rows`, or with `beneath` run inside such."""
        return replace(self, layers=(*self.layers, Layer(tuple(sorted(rows)), beneath)))

    def of_processes(self, tgids: Iterable[int]) -> Selection:
        ids = frozenset(tgids)
        return replace(self, tgids=ids if self.tgids is None else ids & self.tgids)

    def of_threads(self, pids: Iterable[int]) -> Selection:
        ids = frozenset(pids)
        return replace(self, pids=ids if self.pids is None else ids & self.pids)

    def between(self, since: int | None, until: int | None) -> Selection:
        """Those that began then (CLOCK_MONOTONIC, ns)."""
        lower = [time for time in (self.since, since) if time is not None]
        upper = [time for time in (self.until, until) if time is not None]
        return replace(self, since=max(lower, default=None), until=min(upper, default=None))

    def has_thread(self, tgid: int, pid: int) -> bool:
        """Whether calls of a thread can be among them."""
        return (self.tgids is None or tgid in self.tgids) and (self.pids is None or pid in self.pids)

    def of(self, paired: pl.LazyFrame) -> pl.LazyFrame:
        """The chosen ones of all calls of a trace, as `paired.table` describes them."""
        for layer in self.layers:
            paired = filters.by_function(paired, layer.rows, beneath=layer.beneath)
        if self.tgids is not None:
            paired = paired.filter(pl.col("tgid").is_in(sorted(self.tgids)))
        if self.pids is not None:
            paired = paired.filter(pl.col("pid").is_in(sorted(self.pids)))
        began = pl.coalesce("start", "end")
        if self.since is not None:
            paired = paired.filter(began >= self.since)
        return paired if self.until is None else paired.filter(began < self.until)


#: Calls as `Trace` takes them: a selection; or a frame of them, in the order of `Trace.paired`.
Chosen: TypeAlias = Selection | pl.LazyFrame


def of_functions(chosen: Chosen | None, rows: Sequence[int]) -> Chosen:
    """Those of the calls `chosen`, None for all, that are of the functions `rows`."""
    if isinstance(chosen, pl.LazyFrame):
        return filters.by_function(chosen, rows)
    return (chosen or Selection()).of_functions(rows)
