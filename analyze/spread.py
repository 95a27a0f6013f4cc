"""How values are distributed: each of them while they are few, in log-linear buckets when they are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .arrays import Ints
from .counter import Counter
from .loglinear import signed_bounds, signed_bucket_of


def _none() -> Ints:
    return np.zeros(0, np.int64)


@dataclass
class Spread:
    """Values, in no order; or the buckets of `loglinear`, ascending, and how many values each has."""

    values: Ints = field(default_factory=_none)
    bucket: Ints = field(default_factory=_none)
    counts: Ints = field(default_factory=_none)

    @property
    def exact(self) -> bool:
        return not len(self.bucket)

    def __len__(self) -> int:
        return len(self.values) + int(self.counts.sum())

    @staticmethod
    def merged(spreads: Sequence[Spread], most: int) -> Spread:
        """All values of `spreads`: one by one, if they are and there are at most `most`."""
        values = np.concatenate([spread.values for spread in spreads])
        if len(values) <= most and all(spread.exact for spread in spreads):
            return Spread(values)
        counter = Counter()
        counter.add(signed_bucket_of(values))
        for spread in spreads:
            counter.merge(spread.bucket, spread.counts)
        return Spread(_none(), counter.keys.astype(np.int64), counter.counts)

    def percentiles(
        self, per_mille: Sequence[int], least: int | None = None, greatest: int | None = None
    ) -> list[int]:
        """By nearest rank, of at least one value; from buckets the middle of the one that holds it, which is
        within 0.4 %, and lies between `least` and `greatest` where these are known.
        """
        wanted = [(len(self) * each + 999) // 1000 - 1 for each in per_mille]
        if self.exact:
            ordered = np.sort(self.values)
            return [int(ordered[place]) for place in wanted]
        places = np.searchsorted(np.cumsum(self.counts), wanted, side="right")
        return [_middle(int(self.bucket[place]), least, greatest) for place in places]


def _middle(bucket: int, least: int | None, greatest: int | None) -> int:
    low, high = signed_bounds(bucket)
    middle = (low + high) // 2
    middle = middle if least is None else max(middle, least)
    return middle if greatest is None else min(middle, greatest)
