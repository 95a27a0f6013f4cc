"""Records of the ring that stand for two events, an entry and the exit that came next in its thread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bpf.layout import ENTRY, EXIT, SPAN, TAIL, TAIL_SPAN


def count_events(records: NDArray[Any]) -> int:
    """How many events the records, of type `bpf.layout.event_dtype`, stand for."""
    return len(records) + int(np.count_nonzero(records["type"] >= SPAN))


def expand(records: NDArray[Any]) -> NDArray[Any]:
    """Each span as its entry and, right behind it, its exit; the rest as it is."""
    spans = records["type"] >= SPAN
    if not spans.any():
        return records
    events = np.repeat(records, 1 + spans)
    exits = np.flatnonzero(spans) + np.arange(1, np.count_nonzero(spans) + 1)
    kinds = events["type"]
    kinds[exits] = np.where(kinds[exits] == TAIL_SPAN, TAIL, EXIT)
    kinds[exits - 1] = ENTRY
    events["timestamp"][exits] = events["end"][exits]
    return events
