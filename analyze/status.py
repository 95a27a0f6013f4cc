"""What is known of a call one side of which was not recorded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..schemas import STATUS
from ..schemas.metadata import Counts, LossWindow
from .arrays import Bytes, Flags, Ints

COMPLETE, OPEN, UNWOUND, LOST = range(4)
#: Stands for null: entry-only functions have no status.
NONE = -1
NAMES = list(STATUS)


def status(
    complete: Flags,
    is_entry: Flags,
    entry_only: Flags,
    time: Ints,
    gone_by: Ints,
    left: Flags,
    windows: LossWindows,
) -> Bytes:
    """The status of each call, as a position in `STATUS` or -1 for null.

    `time` is the time of the side that was seen; `left` says of an entry whether a later event shows
    that its frame was given up, or its thread or process has ended; `gone_by` is when the exit can't have
    been missed any more, the greatest int64 where nothing tells. Where two rules apply `lost` wins, then
    `unwound`.
    """
    result = np.full(len(complete), OPEN, np.int8)
    result[is_entry & left] = UNWOUND
    result[windows.may_hide_exit(time, gone_by) & is_entry] = LOST
    result[windows.may_hide_entry(time) & ~is_entry] = LOST
    result[is_entry & entry_only] = NONE
    result[complete] = COMPLETE
    return result


class LossWindows:
    """The times between which events were lost, ready for many questions at once."""

    def __init__(self, windows: Sequence[LossWindow], counts: Counts | None = None) -> None:
        spans = sorted((window["start_ns"], window["end_ns"]) for window in windows)
        if not spans and counts is not None and any(counts["lost"].values()):
            # Lost, and nobody knows when: any partner may have been among them.
            spans = [(np.iinfo(np.int64).min, np.iinfo(np.int64).max)]
        self._starts = np.array([start for start, _ in spans], np.int64)
        self._reach = np.maximum.accumulate(np.array([end for _, end in spans], np.int64))

    def may_hide_exit(self, entered: Ints, gone_by: Ints) -> Flags:
        """Whether events were lost between an entry and the time by which it was gone."""
        if not len(self._starts):
            return np.zeros(len(entered), np.bool_)
        before = np.searchsorted(self._starts, gone_by, side="right")
        hidden: Flags = (before > 0) & (self._reach[np.maximum(before, 1) - 1] >= entered)
        return hidden

    def may_hide_entry(self, exited: Ints) -> Flags:
        """Whether events were lost before an exit."""
        if not len(self._starts):
            return np.zeros(len(exited), np.bool_)
        hidden: Flags = exited >= self._starts[0]
        return hidden
