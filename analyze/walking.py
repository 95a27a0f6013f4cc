"""Events to calls by the compiled walk: the same table as `pairing`'s, in a fraction of the time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ..schemas import TraceMetadata
from .encoding import is_entry
from .losses import LossWindows, ThreadLosses
from .native import Struct, Walk
from .paired import Calls, table
from .processes import Thread, threads_of

#: Gives the events from the first to the last, the columns `NEEDS` and more, each time that it is called.
Source = Callable[[], Iterable[pa.Table]]

#: What the walk reads of the events.
NEEDS = ["type", "cookie", "pid", "tgid", "timestamp", "frame"]


def pair(source: Source, metadata: TraceMetadata) -> pl.DataFrame:
    """The calls behind the events, as `paired.table` describes them. Raises TraceError."""
    walks = Walks(source, metadata, os.cpu_count() or 1)
    calls = walks.calls_of_thread
    total = int(calls.sum())
    columns = Calls(
        parent=np.empty(total, np.int64),
        outer=np.empty(total, np.int64),
        thread=np.repeat(np.arange(len(calls), dtype=np.int32), calls),
        depth=np.empty(total, np.int32),
        function=np.empty(total, np.int32),
        caller=np.empty(total, np.int32),
        start=np.empty(total, np.int64),
        end=np.empty(total, np.int64),
        self_ns=np.empty(total, np.int64),
        self_known=np.empty(total, np.bool_),
        entry_row=np.empty(total, np.int64),
        exit_row=np.empty(total, np.int64),
        status=np.empty(total, np.int8),
    )
    rows = {name: array for name, array in vars(columns).items() if name != "thread"}
    rows["self_known"] = columns.self_known.view(np.uint8)
    walks.nest(Struct("rows", **rows))
    return table([columns], walks.threads)


class Walks:
    """`count` walks through one trace, each of some of its threads; the first pass is done."""

    threads: list[Thread]  # in order of (tgid, pid)

    def __init__(self, source: Source, metadata: TraceMetadata, count: int) -> None:
        self._source = source
        self._walks = [Walk(_setup(metadata, part, count)) for part in range(count)]
        self._feed(Walk.match)
        found = [walk.matched() for walk in self._walks]
        joined = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        order = np.argsort(joined["key"])
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        ends = np.cumsum([0, *(len(part["key"]) for part in found)])
        #: For each walk the rows of its threads.
        self._places = [place[low:high] for low, high in pairwise(ends)]
        self.calls_of_thread = joined["calls"][order]
        self.threads = threads_of(joined["key"][order], joined["first"][order], metadata)

    def nest(self, rows: Struct | None) -> None:
        """The second pass."""
        first_call = np.r_[0, np.cumsum(self.calls_of_thread)].astype(np.int64)
        ended = np.array([thread.ended for thread in self.threads], np.bool_)
        for walk, places in zip(self._walks, self._places, strict=True):
            walk.begin(first_call[places], ended[places], rows)
        self._feed(Walk.nest)
        for walk in self._walks:
            walk.nested()

    def _feed(self, step: Callable[[Walk, Struct], None]) -> None:
        """Give every batch to every walk, while the next one is read."""
        first_row = 0
        running: list[Future[None]] = []
        with ThreadPoolExecutor(len(self._walks)) as pool:
            for events in self._source():
                batch = as_batch(events, first_row)
                first_row += events.num_rows
                _result_of(running)
                running = [pool.submit(step, walk, batch) for walk in self._walks]
            _result_of(running)


def _result_of(running: Sequence[Future[None]]) -> None:
    for future in running:
        future.result()


def as_batch(events: pa.Table, first_row: int) -> Struct:
    """Consecutive events, the first of which is `first_row` of the file."""

    def column(name: str) -> NDArray[Any]:
        return np.ascontiguousarray(events[name].to_numpy())

    return Struct(
        "batch",
        rows=events.num_rows,
        first_row=first_row,
        entry=is_entry(events["type"]).view(np.uint8),
        **{name: column(name) for name in NEEDS[1:]},
    )


def _setup(metadata: TraceMetadata, part: int, parts: int) -> Struct:
    functions = metadata["functions"]
    windows = LossWindows(metadata["loss_windows"], metadata["counts"])
    losses = [windows.anywhere()]
    for thread in windows.threads():
        losses += [windows.surely_of(*thread), windows.of(*thread)]
    merged = [some.merged() if some else ThreadLosses([]).merged() for some in losses]
    starts, ends, frames = (np.concatenate(columns) for columns in zip(*merged, strict=True))
    bounds = np.cumsum([len(part[0]) for part in merged])
    return Struct(
        "setup",
        functions=len(functions),
        cookie=np.array([f["cookie"] for f in functions], np.uint64),
        exit_traced=np.array([f["exit"] != "none" for f in functions], np.uint8),
        loss_start=starts,
        loss_end=ends,
        loss_frame=frames,
        anywhere=int(bounds[0]),
        losing=len(windows.threads()),
        losing_thread=np.array([tgid << 32 | pid for tgid, pid in windows.threads()], np.uint64),
        loss_bounds=bounds[1:].astype(np.int64),
        part=part,
        parts=parts,
    )
