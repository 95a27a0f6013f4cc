"""Events to calls: pair entries with exits, thread by thread, and find who called whom."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from ..schemas import TraceMetadata
from . import chains, nesting
from .arrays import Addresses, Codes, Flags, Ints
from .correction import Costs
from .encoding import encode, function_rows, is_entry, thread_keys
from .incarnations import Incarnations
from .losses import LossWindows
from .paired import Calls, table
from .processes import Thread, threads_of
from .status import status

#: Threads are worked on together until they hold this many events: enough that NumPy's overhead per
#: operation doesn't count, few enough that the arrays of a step stay near the processor.
BATCH_EVENTS = 1 << 20

#: Memory that reports take at their peak for each event, measured with benchmarks/analyze_scale.py.
EVENT_BYTES = 200

#: What `pair` reads of the events.
NEEDS = ["type", "cookie", "pid", "tgid", "timestamp", "frame"]


def pair(events: pl.LazyFrame, metadata: TraceMetadata, costs: Costs | None = None) -> pl.LazyFrame:
    """The calls behind `events`, which need the columns `NEEDS`; within a thread they stand in order.

    Yields the table that `paired.table` describes, its durations without `costs`. Raises TraceError where
    the events name a function that the metadata lacks.
    """
    return table(*_pair_threads(events, metadata, costs)).lazy()


def _pair_threads(
    events: pl.LazyFrame, metadata: TraceMetadata, costs: Costs | None
) -> tuple[list[Calls], list[Thread]]:
    """Pair the events batch by batch; the columns of the events go when this returns."""
    incarnations = Incarnations(metadata)
    columns = incarnations.told_apart(events.select(NEEDS).collect().to_arrow())
    code, keys = encode(thread_keys(columns))
    seen = _Events(
        is_entry=is_entry(columns["type"]),
        function=function_rows(columns["cookie"], metadata),
        timestamp=columns["timestamp"].to_numpy(),
        frame=columns["frame"].to_numpy(),
    )
    del columns
    order = incarnations.order(keys)
    rank = np.argsort(order).astype(np.int32)
    keys = keys[order]
    code = rank[code] if len(keys) else code
    starts = np.r_[0, np.cumsum(np.bincount(code, minlength=len(keys)))].astype(np.int64)
    if len(keys) > 1:
        by_thread = np.argsort(code.astype(np.uint16) if len(keys) < 1 << 16 else code, kind="stable")
    else:
        by_thread = np.arange(len(code))
    threads = threads_of(keys, seen.timestamp[by_thread[starts[:-1]]], metadata, incarnations)
    exit_traced = np.array([f["exit"] != "none" for f in metadata["functions"]], np.bool_)
    windows = LossWindows(metadata, incarnations)

    def work(batch: tuple[int, int]) -> Calls:
        low, high = batch
        rows = by_thread[starts[low] : starts[high]]
        thread = code[rows] - np.int32(low)
        mine = seen if len(keys) == 1 else seen.take(rows)
        return _pair_batch(rows, thread, mine, exit_traced, threads[low:high], windows, costs)

    # NumPy lets go of the interpreter's lock while it works on arrays.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(work, _batches(starts))), threads


@dataclass
class _Events:
    """The columns of events, one array each; `function` is a row of the function table."""

    is_entry: Flags
    function: Codes
    timestamp: Ints
    frame: Addresses

    def take(self, rows: Ints) -> _Events:
        return _Events(self.is_entry[rows], self.function[rows], self.timestamp[rows], self.frame[rows])


def _pair_batch(
    rows: Ints,
    thread: Codes,
    events: _Events,
    exit_traced: Flags,
    threads: list[Thread],
    windows: LossWindows,
    costs: Costs | None,
) -> Calls:
    """Pair the events of whole threads, which stand one after the other; calls are numbered from 0."""
    count = len(rows)
    is_entry, function, timestamp, frame = events.is_entry, events.function, events.timestamp, events.frame
    partner = chains.match(thread, frame, function, is_entry, usable=~is_entry | exit_traced[function])
    _part(partner, thread, events, threads, windows)
    at = np.flatnonzero(is_entry | (partner < 0))  # each call's first event that was seen
    other = partner[at]
    entered = is_entry[at]
    complete = entered & (other >= 0)
    called = function[at]
    entry_only = ~exit_traced[called]

    # A call without an exit holds others until its frame is seen to be gone, or its thread ends.
    thread_end = np.cumsum(np.bincount(thread, minlength=len(threads)))[thread[at]]
    unfinished = np.flatnonzero(entered & ~complete & ~entry_only)
    own = frame[at[unfinished]]
    left_before = np.minimum(nesting.next_reaching(frame, at[unfinished], own), thread_end[unfinished])
    left = np.zeros(len(at), np.bool_)
    left[unfinished] = left_before < thread_end[unfinished]
    # An event on the very same frame may be of a tail call, and then the exit was still to come.
    above = nesting.next_reaching(frame, at[unfinished], own + np.uint64(1))
    surely = above < thread_end[unfinished]
    gone_by = np.full(len(at), np.iinfo(np.int64).max)
    gone_by[unfinished[surely]] = timestamp[above[surely]]

    whole = np.flatnonzero(complete)
    holding = np.sort(np.r_[at[whole], at[unfinished]])
    depth = nesting.depths(count, holding, other[whole], left_before)[at]
    parent = nesting.parents(depth)
    # In half events: a call without an exit ends just before the event that shows it to be gone.
    close = np.full(len(at), -1, np.int64)
    close[whole] = 2 * other[whole]
    close[unfinished] = 2 * left_before - 1
    self_known = complete.copy()
    if nesting.crossing(close, parent):
        parent = nesting.innermost(2 * at, close)
        depth = nesting.levels(parent)
        outer = nesting.innermost(2 * at, np.where(complete, close, -1))
        outlasted = whole[nesting.outlasted(2 * at, close, whole)]
        self_known[outlasted] = False
        # What it leaves to the call around it is not known either.
        self_known[outer[outlasted][outer[outlasted] >= 0]] = False
    else:
        outer = nesting.nearest(parent, complete)

    start = timestamp[at]
    end = np.where(complete, timestamp[other], start)
    clock = timestamp if costs is None else costs.clock(timestamp, is_entry, function)
    duration = np.where(complete, clock[other] - clock[at], 0)
    self_ns = duration.copy()
    inner = whole[outer[whole] >= 0]
    np.subtract.at(self_ns, outer[inner], duration[inner])
    if costs is not None:
        # A probe that once took less than it usually does.
        duration, self_ns = np.maximum(duration, 0), np.maximum(self_ns, 0)

    ended = np.array([t.ended for t in threads], np.bool_)[thread[at]]
    lost = np.zeros(len(at), np.bool_)
    incomplete = np.flatnonzero(~complete)
    bounds = np.searchsorted(thread[at[incomplete]], np.arange(len(threads) + 1))
    for number, (low, high) in enumerate(pairwise(bounds.tolist())):
        losses = windows.of(threads[number].key) if high > low else None
        if losses is not None:
            here = incomplete[low:high]
            since = np.where(entered[here], start[here], np.iinfo(np.int64).min)
            until = np.where(entered[here], gone_by[here], start[here])
            lost[here] = losses.touch(since, until, frame[at[here]])
    return Calls(
        parent=parent,
        outer=outer,
        thread=np.array([t.row for t in threads], np.int32)[thread[at]],
        depth=depth,
        function=called,
        caller=np.where(parent >= 0, called[parent], -1).astype(np.int32),
        start=start,
        end=end,
        duration=duration,
        self_ns=self_ns,
        self_known=self_known,
        entry_row=np.where(entered, rows[at], -1),
        exit_row=np.where(complete, rows[other], np.where(entered, -1, rows[at])),
        status=status(complete, entered, entry_only, left | ended, lost),
    )


def _part(partner: Ints, thread: Codes, events: _Events, threads: list[Thread], windows: LossWindows) -> None:
    """Undo pairs between whose two events the thread lost one that is as high on the stack, or higher.

    That one was an exit of the entry's call, or came after it: the two are halves of different calls.
    """
    bounds = np.searchsorted(thread, np.arange(len(threads) + 1))
    for number, (low, high) in enumerate(pairwise(bounds.tolist())):
        losses = windows.surely_of(threads[number].key)
        if losses is None:
            continue
        entries = low + np.flatnonzero(events.is_entry[low:high] & (partner[low:high] >= 0))
        exits = partner[entries]
        false = losses.touch(events.timestamp[entries], events.timestamp[exits], events.frame[entries])
        partner[entries[false]] = -1
        partner[exits[false]] = -1


def _batches(starts: Ints) -> Iterator[tuple[int, int]]:
    """Ranges of threads, whose events begin at `starts`, of about `BATCH_EVENTS` each."""
    low = 0
    for high in range(1, len(starts)):
        if starts[high] - starts[low] >= BATCH_EVENTS or high == len(starts) - 1:
            yield low, high
            low = high
