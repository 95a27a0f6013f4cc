"""Durations in the order in which they came, as histograms of blocks of consecutive calls."""

from __future__ import annotations

import numpy as np

from .arrays import Ints
from .counter import Counter
from .loglinear import bucket_of, signed_bounds

#: There are at most so many blocks, and at least half as many once calls suffice.
BLOCKS = 64
#: More than there are buckets.
_WIDTH = 1 << 13


class Blocks:
    """Counts durations in log-linear buckets, by block. Blocks hold a power of two of calls; when they
    become too many, pairs of them become one.
    """

    def __init__(self) -> None:
        self._seen = 0
        self._shift = 0
        self._counter = Counter()

    @property
    def calls(self) -> int:
        return self._seen

    def add(self, durations: Ints) -> None:
        number = np.arange(self._seen, self._seen + len(durations))
        self._seen += len(durations)
        shift = self._shift
        while (self._seen - 1) >> shift >= BLOCKS:
            shift += 1
        if shift != self._shift:
            keys = self._counter.keys
            self._counter.rekey((keys // _WIDTH >> shift - self._shift) * _WIDTH + keys % _WIDTH)
            self._shift = shift
        self._counter.add((number >> shift) * _WIDTH + bucket_of(durations))

    def table(self) -> tuple[Ints, Ints, Ints]:
        """Block, bucket and number of calls, of those with calls."""
        keys = self._counter.keys.astype(np.int64)
        return keys // _WIDTH, keys % _WIDTH, self._counter.counts

    def percentile(self, per_mille: int) -> int:
        """By nearest rank, within 0.4 %: the middle of the bucket that holds it."""
        _, bucket, count = self.table()
        order = np.argsort(bucket, kind="stable")
        wanted = (self._seen * per_mille + 999) // 1000
        place = int(np.searchsorted(np.cumsum(count[order]), wanted))
        low, high = signed_bounds(int(bucket[order][place]))
        return (low + high) // 2
