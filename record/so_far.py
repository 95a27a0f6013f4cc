"""What a recording that goes on says of itself: the metadata of a commit."""

from __future__ import annotations

from typing import Final

from ..bpf.filters import Filters
from ..schemas.chain import RECORDING
from ..schemas.metadata import Counts, LossWindow, TraceMetadata, unplaced_loss
from .census import Census
from .clocks import clock_snapshot
from .drain import Drain
from .encoder import Encoder
from .filtering import describe, filtered_by_option, lost_by_cause
from .losses import loss_windows

#: Each second's; what is more is merged.
_MOST_WINDOWS: Final = 1000


class SoFar:
    """Called with the rows in the file, on the thread that writes; `start` is what will not change.

    `windows` are those that the kernel has told of, and what else is added to them; `recover` covers the
    others by one for all threads.
    """

    def __init__(
        self, start: TraceMetadata, census: Census, drain: Drain, encoder: Encoder, filters: Filters
    ) -> None:
        self._start = start
        self._filters = filters
        self._census = census
        self._drain = drain
        self._encoder = encoder
        self.windows: list[LossWindow] = []
        self._records_seen = 0

    def __call__(self, rows: int) -> TraceMetadata:
        self._take_losses()
        counts = count(self._drain, self._encoder, self._filters, rows)
        # The counters are read after the ring: they can be behind what was taken from it.
        counts["produced"] = max(counts["produced"], _accounted(counts))
        return {
            **self._start,
            "ended": clock_snapshot(),
            "end_reason": RECORDING,
            "processes": self._census.processes(),
            "threads": self._census.threads(),
            "filters": describe(self._filters, self._drain.filtered, self._start["filters"]["budget_cuts"]),
            "counts": counts,
            "loss_windows": self.windows,
        }

    def _take_losses(self) -> None:
        records = self._drain.loss_records(self._records_seen)
        self._records_seen += len(records)
        if records:
            self.windows += loss_windows(records, 0, _MOST_WINDOWS)


def count(drain: Drain, encoder: Encoder, filters: Filters, rows: int) -> Counts:
    """Where the events are, with `rows` in the file."""
    counts: Counts = {
        "produced": drain.produced,
        "recorded": rows,
        "lost": lost_by_cause(drain.lost, drain.filtered),
        "filtered": filtered_by_option(filters, drain.filtered),
        "after_limit": encoder.after_limit,
    }
    if drain.missed.events:
        # The kernel ran no program for these.
        counts["lost"]["missed"] = drain.missed.events
        counts["produced"] += drain.missed.events
    return counts


def _accounted(counts: Counts) -> int:
    left_out = sum(counts["filtered"].values()) + counts["after_limit"]
    return counts["recorded"] + sum(counts["lost"].values()) + left_out


def add_unsaved(counts: Counts, windows: list[LossWindow], start_ns: int) -> None:
    """Account for events that were taken from the ring and could not be written, in place."""
    unsaved = max(0, counts["produced"] - _accounted(counts))
    counts["lost"]["unsaved"] = unsaved
    windows.append(unplaced_loss(start_ns, unsaved))
