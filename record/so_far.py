"""What a recording that goes on says of itself: the metadata of a commit."""

from __future__ import annotations

from typing import Final

from ..schemas.chain import RECORDING
from ..schemas.metadata import ANY_FRAME, NO_END, Counts, LossWindow, TraceMetadata
from .census import Census
from .drain import Drain
from .encoder import Encoder
from .losses import loss_windows
from .metadata import clock_snapshot

#: Each second's; what is more is merged.
_MOST_WINDOWS: Final = 1000


class SoFar:
    """Called with the rows in the file, on the thread that writes; `start` is what will not change.

    `windows` are those that the kernel has told of, and what else is added to them; `recover` covers the
    others by one for all threads.
    """

    def __init__(self, start: TraceMetadata, census: Census, drain: Drain, encoder: Encoder) -> None:
        self._start = start
        self._census = census
        self._drain = drain
        self._encoder = encoder
        self.windows: list[LossWindow] = []
        self._records_seen = 0

    def __call__(self, rows: int) -> TraceMetadata:
        self._take_losses()
        lost = self._drain.lost
        after_limit = self._encoder.after_limit
        counts: Counts = {
            # The counters are read after the ring: they can be behind what was taken from it.
            "produced": max(self._drain.produced, rows + lost + after_limit),
            "recorded": rows,
            "lost": {"buffer": lost},
            "after_limit": after_limit,
        }
        add_missed(counts, self._drain.missed.events)
        return {
            **self._start,
            "ended": clock_snapshot(),
            "end_reason": RECORDING,
            "processes": self._census.processes(),
            "threads": self._census.threads(),
            "counts": counts,
            "loss_windows": self.windows,
        }

    def _take_losses(self) -> None:
        records = self._drain.loss_records(self._records_seen)
        self._records_seen += len(records)
        if records:
            self.windows += loss_windows(records, 0, _MOST_WINDOWS)


def add_missed(counts: Counts, events: int) -> None:
    """Account for events that the kernel ran no program for, in place."""
    if events:
        counts["lost"]["missed"] = events
        counts["produced"] += events


def unplaced_loss(start_ns: int, events: int) -> LossWindow:
    """That they were lost since then, nobody knows when and where."""
    return {
        "pid": None,
        "tgid": None,
        "start_ns": start_ns,
        "end_ns": NO_END,
        "frame": ANY_FRAME,
        "events": events,
    }


def add_unsaved(counts: Counts, windows: list[LossWindow], start_ns: int) -> None:
    """Account for events that were taken from the ring and could not be written, in place."""
    accounted = counts["recorded"] + sum(counts["lost"].values()) + counts["after_limit"]
    unsaved = max(0, counts["produced"] - accounted)
    counts["lost"]["unsaved"] = unsaved
    windows.append(unplaced_loss(start_ns, unsaved))
