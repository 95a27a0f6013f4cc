"""How often which values came up: exactly while they are few, in fine buckets when they are many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .casts import Values
from .counter import Counter
from .loglinear import BITS, coarser, signed_bounds, signed_bucket_of

#: More different values than this are counted in buckets of FINE bits, within 0.02 % of the value.
MANY = 4096
FINE = 12


@dataclass(frozen=True)
class Span:
    """`calls` calls whose value lies from `low` to `high`, both included."""

    low: int
    high: int
    calls: int


class Tally:
    """Counts values, all of them signed or all unsigned."""

    def __init__(self) -> None:
        self._counter = Counter()
        self._exact = True
        self.least: int | None = None
        self.greatest: int | None = None

    @property
    def calls(self) -> int:
        return self._counter.total

    def add(self, values: Values) -> None:
        if not len(values):
            return
        least, greatest = int(values.min()), int(values.max())
        self.least = least if self.least is None else min(self.least, least)
        self.greatest = greatest if self.greatest is None else max(self.greatest, greatest)
        self._counter.add(values if self._exact else signed_bucket_of(values, FINE))
        if self._exact and len(self._counter) > MANY:
            self._exact = False
            self._counter.rekey(signed_bucket_of(self._counter.keys, FINE))

    def values(self) -> list[Span] | None:
        """A span for each value, ascending; None where there are too many."""
        if not self._exact:
            return None
        pairs = zip(self._counter.keys.tolist(), self._counter.counts.tolist(), strict=True)
        return [Span(value, value, calls) for value, calls in pairs]

    def coarse(self, bits: int = BITS) -> Counter:
        """The values in log-linear buckets of `bits` bits, at most FINE."""
        found = Counter()
        if self._exact:
            found.merge(signed_bucket_of(self._counter.keys, bits), self._counter.counts)
        else:
            fine = self._counter.keys.astype(np.int64)
            found.merge(coarser(fine, FINE, bits), self._counter.counts)
        return found

    def spans(self, bits: int = BITS) -> list[Span]:
        """A span for each of those buckets that is not empty, ascending."""
        found = self.coarse(bits)
        pairs = zip(found.keys.tolist(), found.counts.tolist(), strict=True)
        return [Span(*signed_bounds(key, bits), calls) for key, calls in pairs]

    def percentile(self, per_mille: int) -> int:
        """By nearest rank; where values are in buckets, the middle of the one that holds it."""
        wanted = (self.calls * per_mille + 999) // 1000
        place = int(np.searchsorted(np.cumsum(self._counter.counts), wanted))
        key = int(self._counter.keys[place])
        if self._exact:
            return key
        assert self.least is not None
        assert self.greatest is not None
        low, high = signed_bounds(key, FINE)
        return min(max((low + high) // 2, self.least), self.greatest)
