"""Feed the events of a trace to compiled walks, as many at once as there are workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..schemas import VALUES, TraceMetadata
from .arrays import Ints
from .correction import Costs
from .encoding import buffers, is_entry, whole
from .incarnations import Incarnations
from .losses import LossWindows, ThreadLosses
from .native import Struct, Walk
from .processes import Thread, threads_of
from .pruning import Pruning
from .selection import Selection

#: Gives these columns of the events from the first to the last, some at a time and with the row of the
#: first of them, each time that it is called; those that the pruning can do without may be missing.
Source = Callable[[list[str], Pruning], Iterable[tuple[int, pa.Table]]]

#: What the walk reads of the events.
NEEDS = ["type", "cookie", "pid", "tgid", "timestamp", "frame"]

#: Batches that are read before the slowest walk is done with the first of them.
_AHEAD = 4

_LEAST, _GREATEST = -(1 << 63), (1 << 63) - 1


def chosen_by(selection: Selection, functions: int) -> dict[str, Any]:
    """What a plan says of `selection`, but for its threads, where there are so many functions."""
    flags = np.zeros(functions, np.uint8)
    for number, layer in enumerate(selection.layers):
        flags[list(layer.rows)] |= 1 << number
    return {
        "layers": len(selection.layers),
        "functions": flags,
        "beneath": sum(layer.beneath << number for number, layer in enumerate(selection.layers)),
        "since": _LEAST if selection.since is None else min(max(selection.since, _LEAST), _GREATEST),
        "until": _GREATEST if selection.until is None else min(max(selection.until, _LEAST), _GREATEST),
    }


class Walks:
    """`count` walks at once through one trace, each of some of its threads; the first pass is done.

    `part` and `parts` are as in `Partition`. `wanted` are the calls that the second pass is for, and
    `columns` the registers that it needs; `counted` those whose threads the first one has to see, by
    default the same. Durations are without `costs`.
    """

    threads: list[Thread]  # in order of (tgid, pid)
    calls_of_thread: Ints

    def __init__(
        self,
        source: Source,
        metadata: TraceMetadata,
        count: int,
        *,
        part: int = 0,
        parts: int = 1,
        wanted: Selection | None = None,
        counted: Selection | None = None,
        columns: Sequence[str] = (),
        costs: Costs | None = None,
    ) -> None:
        self._source = source
        self._metadata = metadata
        self._incarnations = Incarnations(metadata)
        self._wanted = wanted or Selection()
        self._columns = [*NEEDS, *columns]
        self._running: deque[list[Future[None]]] = deque()
        seen = counted or self._wanted
        threads = Selection(tgids=seen.tgids, pids=seen.pids)
        self._walks = [
            Walk(_setup(metadata, self._incarnations, part + parts * number, parts * count, threads, costs))
            for number in range(count)
        ]
        self._feed(Walk.match, NEEDS, Pruning(threads))
        found = [walk.matched() for walk in self._walks]
        joined = {name: np.concatenate([each[name] for each in found]) for name in found[0]}
        order = self._incarnations.order(joined["key"])
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        ends = np.cumsum([0, *(len(each["key"]) for each in found)])
        #: For each walk the rows of its threads.
        self._places = [place[low:high] for low, high in pairwise(ends)]
        self.calls_of_thread = joined["calls"][order]
        keys, firsts = joined["key"][order], joined["first"][order]
        self.threads = threads_of(keys, firsts, metadata, self._incarnations)

    def nest(self, plan: Struct, rows: Struct | None = None) -> None:
        """The second pass."""
        first_call = np.r_[0, np.cumsum(self.calls_of_thread)].astype(np.int64)
        ended = np.array([thread.ended for thread in self.threads], np.bool_)
        skipped = np.array([not self._wanted.has_thread(t.tgid, t.pid) for t in self.threads], np.bool_)
        for walk, places in zip(self._walks, self._places, strict=True):
            walk.begin(plan, first_call[places], ended[places], skipped[places], rows)
        self._feed(Walk.nest, self._columns, Pruning.of(self._wanted, self._metadata, self._still_running))
        for walk in self._walks:
            walk.nested()

    def gathered(self) -> Iterator[tuple[dict[str, NDArray[Any]], list[Thread]]]:
        """What each walk has gathered, see `native.Walk.gathered`, and its threads. No walk is left then."""
        with ThreadPoolExecutor(len(self._walks)) as pool:
            found = list(pool.map(Walk.gathered, self._walks))
        self._walks.clear()
        for gathered, places in zip(found, self._places, strict=True):
            yield gathered, [self.threads[place] for place in places]

    def _feed(self, step: Callable[[Walk, Struct], None], columns: list[str], pruning: Pruning) -> None:
        """Give every batch to every walk, while the next ones are read."""
        with ExitStack() as stack:
            # A thread each, so that a walk takes batches in order, and need not wait for the others.
            pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in self._walks]
            for first_row, events in self._source(columns, pruning):
                batch = as_batch(self._incarnations.told_apart(events), first_row)
                self._catch_up(_AHEAD - 1)
                self._running.append(
                    [pool.submit(step, walk, batch) for pool, walk in zip(pools, self._walks, strict=True)]
                )
            self._catch_up()

    def _catch_up(self, most: int = 0) -> None:
        """Wait until the walks are at most so many batches behind."""
        while len(self._running) > most:
            for future in self._running.popleft():
                future.result()

    def _still_running(self) -> int:
        """How many chosen calls have not ended where the walks are now."""
        self._catch_up()
        return sum(walk.running for walk in self._walks)


def as_batch(events: pa.Table, first_row: int) -> Struct:
    """Consecutive events, the first of which is `first_row` of the file."""
    columns = {"entry": is_entry(events["type"]).view(np.uint8)}
    offsets = {}
    for name in NEEDS[1:]:
        columns[name], _, _ = buffers(whole(events[name]))
    for position, name in enumerate(VALUES):
        if name in events.column_names:
            value, valid, offset = buffers(whole(events[name]))
            columns[f"value{position}"] = value
            if valid is not None:
                columns[f"valid{position}"] = valid
                offsets[f"offset{position}"] = offset
    return Struct("batch", rows=events.num_rows, first_row=first_row, **columns, **offsets)


def _setup(
    metadata: TraceMetadata,
    incarnations: Incarnations,
    part: int,
    parts: int,
    selection: Selection,
    costs: Costs | None,
) -> Struct:
    functions = metadata["functions"]
    windows = LossWindows(metadata, incarnations)
    losses = [windows.anywhere()]
    for thread in windows.threads():
        losses += [windows.surely_of(thread), windows.of(thread)]
    merged = [some.merged() if some else ThreadLosses([]).merged() for some in losses]
    starts, ends, frames = (np.concatenate(columns) for columns in zip(*merged, strict=True))
    bounds = np.cumsum([len(part[0]) for part in merged])
    return Struct(
        "setup",
        functions=len(functions),
        cookie=np.array([f["cookie"] for f in functions], np.uint64),
        exit_traced=np.array([f["exit"] != "none" for f in functions], np.uint8),
        **({} if costs is None else {"outside": costs.outside, "inside": costs.inside}),
        loss_start=starts,
        loss_end=ends,
        loss_frame=frames,
        anywhere=int(bounds[0]),
        losing=len(windows.threads()),
        losing_thread=np.array(windows.threads(), np.uint64),
        loss_bounds=bounds[1:].astype(np.int64),
        **_ids("tgid", incarnations.all_of(selection.tgids)),
        **_ids("pid", incarnations.all_of(selection.pids)),
        part=part,
        parts=parts,
    )


def _ids(name: str, wanted: frozenset[int] | None) -> dict[str, Any]:
    if wanted is None:
        return {}
    # An array without items may have no address.
    ids = np.array([*wanted, 0], np.uint64)
    return {f"{name}s": ids, f"{name}_count": len(wanted)}
