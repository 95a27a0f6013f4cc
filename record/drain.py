"""Empty the ring buffer, on a thread of its own that does nothing else.

What is taken out is handed on as it is: turning it into columns, and compressing these, takes longer
than a full ring can wait.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from ..bpf.filters import FilteredCounts
from ..bpf.program import Missed, Programs
from ..bpf.ring import Ring
from ..schemas.metadata import LossWindow
from .losses import loss_windows
from .privileges import Capability, renounce
from .spans import count_events

#: The kernel side wakes when the ring is filling; what comes slower is looked for so often.
_LONGEST_SLEEP = 0.05
_MISSED_SECONDS = 1.0


class Drain(threading.Thread):
    """Moves records from `ring` to `batches`, whose end is marked by None.

    Stops taking while more than `limit_bytes` wait for the writer; the ring then fills up, and the
    kernel counts what it loses. `finish` returns when the ring is empty; call it after the probes
    are out. An exception ends the thread and is kept in `error`. It keeps no capabilities but `keep`.
    """

    def __init__(
        self,
        programs: Programs,
        ring: Ring,
        loss_ring: Ring,
        limit_bytes: int,
        keep: Collection[Capability],
    ) -> None:
        super().__init__(name="funcsnoop-drain", daemon=True)
        self.batches: queue.SimpleQueue[NDArray[Any] | None] = queue.SimpleQueue()
        self.taken = 0
        self.produced = 0
        self.lost = 0
        self.filtered = FilteredCounts()
        self._too_young = 0  # calls that were still running at the end, and too short until then
        self.error: BaseException | None = None
        self._programs = programs
        self._ring = ring
        self._limit = limit_bytes
        self._keep = keep
        self._loss_ring = loss_ring
        self._losses: list[NDArray[Any]] = []
        self._unplaced = 0
        self.unfollowed = 0
        self.unnoted = 0
        #: How often the kernel did not run a program, as of the last second and of the end.
        self.missed = Missed(0, 0)
        self._missed_due = 0.0
        self._probes_out = threading.Event()
        self._waiting_bytes = 0
        self._waiting_lock = threading.Lock()

    def written(self, batch: NDArray[Any]) -> None:
        """The writer is done with this batch."""
        with self._waiting_lock:
            self._waiting_bytes -= batch.nbytes

    def finish(self) -> None:
        """Empty the ring and end the thread."""
        self._probes_out.set()
        self._ring.wake()
        self.join()
        # Also where the thread broke off: what came after that is to be known as lost.
        self._count_losses(at_once=True)

    def loss_windows(self) -> list[LossWindow]:
        """When which thread lost events; ask after `finish`."""
        return loss_windows([*self._losses, self._programs.pending_losses()], self._unplaced)

    def loss_records(self, first: int) -> list[NDArray[Any]]:
        """What the loss ring gave so far, from the batch with this number on."""
        return self._losses[first:]

    def run(self) -> None:
        try:
            renounce(self._keep)
            while True:
                stopping = self._probes_out.is_set()
                taken = self._take()
                self._count_losses(at_once=stopping)
                # After the probes are out nothing is added, so that an empty ring stays empty.
                if stopping and not self._ring.waiting():
                    self._take_waiting_entries()
                    break
                if taken * 8 < self._ring.size:
                    self._ring.await_filling(_LONGEST_SLEEP)
        except BaseException as error:
            # Kept for the recorder, which sees at its next look that this thread has ended. What its
            # frames hold is a view of the ring, which could not be closed.
            traceback.clear_frames(error.__traceback__)
            self.error = error
        try:
            self.batches.put(None)
        except MemoryError as error:
            # The encoder sees that this thread has ended.
            self.error = self.error or error

    def _take(self) -> int:
        """Hand on what is ready; how many bytes of the ring that was."""
        with self._waiting_lock:
            if self._waiting_bytes > self._limit:
                return 0
        batch = self._ring.take()
        self._hand_on(batch)
        return len(batch) * self._ring.stride

    def _take_waiting_entries(self) -> None:
        """Calls that run on: their entries wait in the kernel, and are now known to be without an exit."""
        entries, too_young = self._programs.take_waiting(time.monotonic_ns())
        self._hand_on(entries)
        self._too_young = too_young

    def _hand_on(self, batch: NDArray[Any]) -> None:
        if len(batch):
            self.taken += count_events(batch)
            with self._waiting_lock:
                self._waiting_bytes += batch.nbytes
            self.batches.put(batch)

    def _count_losses(self, *, at_once: bool) -> None:
        records = self._loss_ring.take()
        if len(records):
            self._losses.append(records)
        counts = self._programs.counts()
        self.produced, self.lost, self._unplaced, self.unfollowed, self.unnoted = counts
        filtered = self._programs.filtered()
        self.filtered = replace(filtered, brief=filtered.brief + self._too_young)
        if at_once or time.monotonic() >= self._missed_due:
            self.missed = self._programs.missed()
            self._missed_due = time.monotonic() + _MISSED_SECONDS
