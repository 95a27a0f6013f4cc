"""How values are distributed: each of them while they are few, in log-linear buckets when they are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np

from .arrays import Ints
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
        return len(self.values) if self.exact else len(self.values) + int(self.counts.sum())

    @staticmethod
    def merged(spreads: Sequence[Spread], most: int) -> Spread:
        """All values of `spreads`: one by one, if they are and there are at most `most`."""
        values = [spread.values for spread in spreads]
        buckets = [spread.bucket for spread in spreads]
        counts = [spread.counts for spread in spreads]
        if sum(map(len, values)) <= most and not any(map(len, buckets)):
            return Spread(np.concatenate(values))
        buckets += map(signed_bucket_of, values)
        filled = [each for each in buckets if len(each)]
        low = min((int(each.min()) for each in filled), default=0)
        high = max((int(each.max()) for each in filled), default=0)
        total = np.zeros(high - low + 1, np.int64)
        for bucket, count in zip_longest(buckets, counts):
            # Those of one spread differ; those of values do not.
            if count is None:
                total += np.bincount(bucket - low, minlength=len(total))
            else:
                total[bucket - low] += count
        found = np.flatnonzero(total)
        return Spread(_none(), found + low, total[found])

    def percentiles(
        self, per_mille: Sequence[int], least: int | None = None, greatest: int | None = None
    ) -> list[int]:
        """By nearest rank, of at least one value; from buckets the middle of the one that holds it, which is
        within 0.4 %, and lies between `least` and `greatest` where these are known.
        """
        count = len(self)
        wanted = [(count * each + 999) // 1000 - 1 for each in per_mille]
        if self.exact:
            ordered = np.partition(self.values, wanted)
            return [int(ordered[place]) for place in wanted]
        places = np.searchsorted(np.cumsum(self.counts), wanted, side="right")
        return [_middle(int(self.bucket[place]), least, greatest) for place in places]


def _middle(bucket: int, least: int | None, greatest: int | None) -> int:
    low, high = signed_bounds(bucket)
    middle = (low + high) // 2
    middle = middle if least is None else max(middle, least)
    return middle if greatest is None else min(middle, greatest)
