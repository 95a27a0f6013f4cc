"""How long calls took, against a value that each of them has: an argument, the caller, the thread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Ints
from .casts import Values
from .counter import Counter
from .loglinear import signed_bounds, signed_bucket_of
from .registers import look_like_pointers

#: More different values than this are looked at by range,
MANY = 2048
#: a quarter of a power of two each.
_RANGE_BITS = 2
#: A register with a greater share of values that look like addresses does not hold a quantity.
POINTERS = 0.1
#: More than there are buckets of durations.
_WIDTH = 1 << 10


@dataclass(frozen=True)
class Groups:
    """How many calls have which values, and how many of them are slow; ascending."""

    bounds: list[tuple[int, int]]
    calls: Ints
    slow: Ints


class Evidence:
    """Counts calls by a value and by the bucket of how long they took."""

    def __init__(self) -> None:
        #: The values that came, or the ranges that they are in, by code; codes count up as they come.
        self._codes: dict[int, int] = {}
        self._counter = Counter()
        self.by_range = False
        self._calls = self._pointers = 0

    def add(self, values: Values, buckets: Ints) -> None:
        if not len(values):
            return
        self._calls += len(values)
        self._pointers += int(np.count_nonzero(look_like_pointers(values)))
        kinds, which = np.unique(self._keys(values), return_inverse=True)
        if not self.by_range and len(kinds) > MANY - len(self._codes):
            new = sum(kind not in self._codes for kind in kinds.tolist()) if len(kinds) <= MANY else MANY + 1
            if new > MANY - len(self._codes):
                self._to_ranges()
                kinds, which = np.unique(self._keys(values), return_inverse=True)
        codes = np.array([self._code(kind) for kind in kinds.tolist()], np.int64)
        self._counter.add(codes[which] * _WIDTH + buckets)

    @property
    def are_names(self) -> bool:
        """Whether values only tell things apart: as many look like addresses, their order says nothing."""
        return self._pointers > POINTERS * self._calls

    def groups(self, slow_from: int) -> Groups:
        """By value; calls are slow from the bucket `slow_from` on."""
        order = sorted(self._codes)
        place = np.empty(len(order), np.int64)
        place[[self._codes[kind] for kind in order]] = np.arange(len(order))
        codes, buckets = self._counter.keys // _WIDTH, self._counter.keys % _WIDTH
        counts = self._counter.counts
        calls, slow = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
        np.add.at(calls, place[codes], counts)
        np.add.at(slow, place[codes], np.where(buckets >= slow_from, counts, 0))
        bounds = [signed_bounds(kind, _RANGE_BITS) if self.by_range else (kind, kind) for kind in order]
        return Groups(bounds, calls, slow)

    def _keys(self, values: Values) -> Values:
        return signed_bucket_of(values, _RANGE_BITS) if self.by_range else values

    def _code(self, kind: int) -> int:
        return self._codes.setdefault(kind, len(self._codes))

    def _to_ranges(self) -> None:
        """Put values into ranges, the counts of those that share one together."""
        ranges: dict[int, int] = {}
        new = np.empty(len(self._codes), np.int64)
        for value, code in self._codes.items():
            one: Values = np.array([value], np.int64) if value < 0 else np.array([value], np.uint64)
            bucket = int(signed_bucket_of(one, _RANGE_BITS)[0])
            new[code] = ranges.setdefault(bucket, len(ranges))
        keys = self._counter.keys
        self._counter.rekey(new[keys // _WIDTH] * _WIDTH + keys % _WIDTH)
        self._codes, self.by_range = ranges, True
