"""What the functions did so far and lately, from the events as they come."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..bpf.layout import ENTRY

#: Log-linear: as many buckets an octave, so that a percentile is off by at most 1/64, 1.6 %.
_PER_OCTAVE: Final = 32
_BUCKETS: Final = 59 * _PER_OCTAVE
#: Entries whose exit has not come. Calls that are left without a return never give theirs back, so the
#: oldest go first.
_MOST_OPEN: Final = 1 << 16
#: Tail calls share a frame: each round pairs the innermost that is left.
_MOST_ROUNDS: Final = 8

_OPEN: Final = np.dtype(
    [("type", "<u4"), ("pid", "<u4"), ("cookie", "<u8"), ("frame", "<u8"), ("timestamp", "<i8")]
)


@dataclass(frozen=True)
class LiveView:
    """The functions that were called, one array each; `cookie` says which they are.

    `calls` are entries that were seen, `returned` calls whose both sides were, `total_ns` how long these
    took together, `p50_ns` and `p99_ns` percentiles of them, off by at most 1.6 %; -1 where none returned.
    """

    cookie: NDArray[np.int64]
    calls: NDArray[np.int64]
    returned: NDArray[np.int64]
    total_ns: NDArray[np.int64]
    p50_ns: NDArray[np.int64]
    p99_ns: NDArray[np.int64]


class LiveCalls:
    """Takes batches of events (`bpf.layout.event_dtype`) on one thread, is looked at on another.

    Entries and exits are paired where they follow each other on (thread, frame). Where events are lost
    a few pairs are wrong (`analyze` does better, with all events at hand); memory is bounded.
    """

    def __init__(self, functions: int) -> None:
        self._lock = threading.Lock()
        self._calls = np.zeros(functions + 1, np.int64)
        self._total = np.zeros(functions + 1, np.int64)
        self._row = np.full(functions + 1, -1, np.int64)  # by cookie: the row of `_counts`
        self._counts = np.zeros((0, _BUCKETS), np.uint32)
        self._open = np.zeros(0, _OPEN)

    def add(self, batch: NDArray[Any]) -> None:
        """Take in events, within each thread in order."""
        seen = np.empty(len(batch), _OPEN)
        for name in _OPEN.names or ():
            seen[name] = batch[name]
        entered = np.bincount(seen["cookie"][seen["type"] == ENTRY], minlength=len(self._calls))
        cookie, duration, self._open = _pair(np.concatenate([self._open, seen]))
        with self._lock:
            self._calls += entered
            np.add.at(self._total, cookie, duration)
            self._make_room(np.unique(cookie))
            np.add.at(self._counts, (self._row[cookie], _bucket(duration)), 1)

    def view(self) -> LiveView:
        """As it stands; functions without a call are left out."""
        with self._lock:
            cookie = np.flatnonzero((self._calls > 0) | (self._row >= 0))
            returned = np.zeros(len(cookie), np.int64)
            p50, p99 = (np.full(len(cookie), -1, np.int64) for _ in range(2))
            known = np.flatnonzero(self._row[cookie] >= 0)
            sums = np.cumsum(self._counts[self._row[cookie[known]]], axis=1, dtype=np.int64)
            returned[known] = sums[:, -1]
            for percentile, per_mille in ((p50, 500), (p99, 990)):
                rank = (returned[known] * per_mille + 999) // 1000
                percentile[known] = _middle((sums < rank[:, None]).sum(axis=1))
            return LiveView(cookie, self._calls[cookie], returned, self._total[cookie], p50, p99)

    def _make_room(self, cookies: NDArray[Any]) -> None:
        new = cookies[self._row[cookies] < 0]
        self._row[new] = len(self._counts) + np.arange(len(new))
        if len(new):
            self._counts = np.concatenate([self._counts, np.zeros((len(new), _BUCKETS), np.uint32)])


def _pair(
    events: NDArray[Any],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Cookie and duration of each call that is whole, and the entries that still wait."""
    rest = events[np.lexsort((events["frame"], events["pid"]))]  # stable: in order on each frame
    cookies, durations = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for _ in range(_MOST_ROUNDS):
        is_entry = rest["type"] == ENTRY
        first = np.flatnonzero(
            is_entry[:-1]
            & ~is_entry[1:]
            & (rest["pid"][:-1] == rest["pid"][1:])
            & (rest["frame"][:-1] == rest["frame"][1:])
            & (rest["cookie"][:-1] == rest["cookie"][1:])
        )
        if not len(first):
            break
        cookies.append(rest["cookie"][first].astype(np.int64))
        durations.append(rest["timestamp"][first + 1] - rest["timestamp"][first])
        left = np.ones(len(rest), np.bool_)
        left[first] = left[first + 1] = False
        rest = rest[left]
    waiting = rest[rest["type"] == ENTRY]
    if len(waiting) > _MOST_OPEN:
        waiting = waiting[np.sort(np.argsort(waiting["timestamp"], kind="stable")[-_MOST_OPEN:])]
    return np.concatenate(cookies), np.maximum(np.concatenate(durations), 0), waiting


def _bucket(duration: NDArray[np.int64]) -> NDArray[np.int64]:
    # frexp is exact here: durations have less than 53 bits.
    octave = np.frexp(duration.astype(np.float64))[1].astype(np.int64) - 1
    shift = np.maximum(octave - 5, 0)
    bucket: NDArray[np.int64] = np.minimum(shift * _PER_OCTAVE + (duration >> shift), _BUCKETS - 1)
    return bucket


def _middle(bucket: NDArray[np.int64]) -> NDArray[np.int64]:
    shift = np.maximum(bucket // _PER_OCTAVE - 1, 0)
    middle: NDArray[np.int64] = ((bucket - shift * _PER_OCTAVE) << shift) + (1 << shift) // 2
    return middle
