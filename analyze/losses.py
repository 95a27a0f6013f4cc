"""When, and for which frames, a thread lost events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..schemas import TraceMetadata
from ..schemas.metadata import ANY_FRAME
from .arrays import Addresses, Flags, Ints
from .incarnations import Incarnations

_EARLIEST, _LATEST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


class LossWindows:
    """The loss windows of a recording, by thread: `tgid << 32 | pid` as `incarnations` tells them apart."""

    def __init__(self, metadata: TraceMetadata, incarnations: Incarnations) -> None:
        windows = metadata["loss_windows"]
        self._anywhere: list[tuple[int, int, int]] = []
        self._of: dict[int, list[tuple[int, int, int]]] = {}
        for window in windows:
            span = (window["start_ns"], window["end_ns"], window["frame"])
            if window["pid"] is None or window["tgid"] is None:
                self._anywhere.append(span)
            else:
                for key in incarnations.keys(window["tgid"], window["pid"], span[0], span[1]):
                    self._of.setdefault(key, []).append(span)
        if not windows and any(metadata["counts"]["lost"].values()):
            # Lost, and nobody knows when: any partner may have been among them.
            self._anywhere = [(_EARLIEST, _LATEST, ANY_FRAME)]

    def threads(self) -> list[int]:
        """The threads that are known to have lost events."""
        return list(self._of)

    def anywhere(self) -> ThreadLosses | None:
        """Losses that may be any thread's; None without."""
        return ThreadLosses(self._anywhere) if self._anywhere else None

    def of(self, thread: int) -> ThreadLosses | None:
        """The losses of a thread, also those that may be another's; None where it lost nothing."""
        spans = self._of.get(thread, []) + self._anywhere
        return ThreadLosses(spans) if spans else None

    def surely_of(self, thread: int) -> ThreadLosses | None:
        """The losses that are known to be this thread's; None where there are none."""
        spans = self._of.get(thread)
        return ThreadLosses(spans) if spans else None


class ThreadLosses:
    """Windows of one thread, (start, end, frame): events of calls at `frame` or below were lost between.

    Windows that overlap are merged; then those that touch a span of time stand side by side, and the
    highest frame among them comes from a table of maxima over runs of 1, 2, 4 … windows.
    """

    def __init__(self, spans: Sequence[tuple[int, int, int]]) -> None:
        merged: list[list[int]] = []
        for start, end, frame in sorted(spans):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
                merged[-1][2] = max(merged[-1][2], frame)
            else:
                merged.append([start, end, frame])
        self._starts = np.array([start for start, _, _ in merged], np.int64)
        self._ends = np.array([end for _, end, _ in merged], np.int64)
        self._highest = [np.array([frame for _, _, frame in merged], np.uint64)]
        run = 1
        while 2 * run <= len(merged):
            below = self._highest[-1]
            self._highest.append(np.maximum(below[:-run], below[run:]))
            run *= 2

    def merged(self) -> tuple[Ints, Ints, Addresses]:
        """Start, end and highest frame of the windows, in order; no two of them overlap."""
        return self._starts, self._ends, self._highest[0]

    def touch(self, since: Ints, until: Ints, frame: Addresses) -> Flags:
        """Whether, between `since` and `until`, both included, a call at `frame` may have lost an event."""
        first = np.searchsorted(self._ends, since, side="left")
        count = np.searchsorted(self._starts, until, side="right") - first
        result = np.zeros(len(frame), np.bool_)
        for level, highest in enumerate(self._highest):
            fits = (count >= 1 << level) & (count < 2 << level)
            left = first[fits]
            right = left + count[fits] - (1 << level)
            result[fits] = np.maximum(highest[left], highest[right]) >= frame[fits]
        return result
