"""Turn what the drain takes out into row groups of the file, on a thread of its own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..schemas import EVENTS
from .census import Census
from .columns import Columns
from .drain import Drain
from .no_file import NoFile
from .privileges import Capability, renounce
from .spans import expand
from .writer import TraceWriter

#: A row group is written when it has this many rows, or is this old.
_GROUP_ROWS = 128 * 1024
_GROUP_SECONDS = 1.0


class Encoder(threading.Thread):
    """Takes batches from `drain`, writes them to `writer`, and tells `census` who sent them; `watch` sees
    them too.

    Rows past `max_events` are counted in `after_limit` and not written. An exception ends the thread and
    is kept in `error`; from then on batches are dropped, and the recorder ends the recording. It keeps no
    capabilities but `keep`.
    """

    def __init__(
        self,
        drain: Drain,
        columns: Columns,
        writer: TraceWriter | NoFile,
        census: Census,
        max_events: int | None,
        keep: Collection[Capability],
        watch: Callable[[NDArray[Any]], None] | None = None,
    ) -> None:
        super().__init__(name="funcsnoop-encoder", daemon=True)
        self.recorded = 0
        self.after_limit = 0
        self.error: BaseException | None = None
        self._drain = drain
        self._columns = columns
        self._writer = writer
        self._census = census
        self._max_events = max_events
        self._keep = keep
        self._watch = watch
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._oldest = time.monotonic()

    @property
    def limit_reached(self) -> bool:
        return self._max_events is not None and self.recorded + self._pending_rows >= self._max_events

    def run(self) -> None:
        self._guard(lambda: renounce(self._keep))
        while True:
            try:
                batch = self._drain.batches.get(timeout=_GROUP_SECONDS)
            except queue.Empty:
                over = not self._drain.is_alive() and self._drain.batches.empty()
                self._guard(self._write if over else self._write_if_due)
                if over:
                    return
                continue
            if batch is None:
                self._guard(self._write)
                return
            self._guard(self._add, expand(batch))
            self._drain.written(batch)

    def _guard(self, step: Callable[..., None], *arguments: NDArray[Any]) -> None:
        try:
            if self.error is None:
                step(*arguments)
        except BaseException as error:
            # Kept for the recorder. Batches are taken on, so that the drain goes on emptying the
            # ring until the probes are out.
            self.error = error

    def _add(self, batch: NDArray[Any]) -> None:
        if self._max_events is not None:
            room = max(0, self._max_events - self.recorded - self._pending_rows)
            self.after_limit += max(0, len(batch) - room)
            batch = batch[:room]
        if not len(batch):
            return
        self._meet(batch)
        if self._watch:
            self._watch(batch)
        if not self._pending:
            self._oldest = time.monotonic()
        self._pending.append(self._columns.convert(batch))
        self._pending_rows += len(batch)
        self._write_if_due()

    def _write_if_due(self) -> None:
        old = time.monotonic() - self._oldest >= _GROUP_SECONDS
        if self._pending_rows >= _GROUP_ROWS or (self._pending and old):
            self._write()

    def _write(self) -> None:
        if not self._pending:
            return
        # Each batch has a dictionary of its own; Parquet wants one for the row group.
        self._writer.write(pa.Table.from_batches(self._pending, EVENTS).unify_dictionaries())
        self.recorded += self._pending_rows
        self._pending, self._pending_rows = [], 0

    def _meet(self, batch: NDArray[Any]) -> None:
        """Tell who has sent these: threads are looked up while they still live."""
        threads = batch["tgid"].astype(np.uint64) << np.uint64(32) | batch["pid"]
        changes = np.flatnonzero(threads[1:] != threads[:-1])
        starts, ends = np.r_[0, changes + 1], np.r_[changes, len(batch) - 1]
        ids, first = np.unique(threads[starts], return_index=True)
        last = len(ends) - 1 - np.unique(threads[ends[::-1]], return_index=True)[1]
        self._census.meet(
            [(thread >> 32, thread & 0xFFFFFFFF) for thread in ids.tolist()],
            batch["timestamp"][starts[first]].tolist(),
            batch["timestamp"][ends[last]].tolist(),
        )
