"""The thread that empties the ring tells the one that writes when there is nothing more."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from funcsnoop.bpf.filters import FilteredCounts
from funcsnoop.bpf.layout import LOSS, event_dtype
from funcsnoop.bpf.program import EventCounts, Missed
from funcsnoop.record.drain import Drain

EVENT = event_dtype("lean", 0, False)


def test_the_end_comes_behind_the_last_events():
    batches = [np.zeros(3, EVENT), np.zeros(0, EVENT), np.zeros(2, EVENT)]
    ring = SimpleNamespace(
        size=4096,
        stride=EVENT.itemsize,
        take=lambda: batches.pop(0) if batches else np.zeros(0, EVENT),
        waiting=lambda: len(batches),
        await_filling=lambda seconds: None,
        wake=lambda: None,
    )
    programs = SimpleNamespace(
        counts=lambda: EventCounts(7, 0, 0, 0, 0),
        filtered=FilteredCounts,
        missed=lambda: Missed(0, 0),
        take_waiting=lambda before: (np.zeros(2, EVENT), 0),
    )
    losses = SimpleNamespace(take=lambda: np.zeros(0, LOSS))
    drain = Drain(programs, ring, losses, limit_bytes=1 << 20, keep=frozenset())  # type: ignore[arg-type]
    drain.start()
    drain.finish()
    handed = [drain.batches.get(timeout=1) for _ in range(4)]
    assert [None if batch is None else len(batch) for batch in handed] == [3, 2, 2, None]
    assert (drain.taken, drain.error) == (7, None)
