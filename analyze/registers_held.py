"""What a register held in the calls of one function, and how long they took then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Addresses, Ints
from .casts import Values
from .counter import Counter
from .loglinear import signed_bucket_of
from .spread import Spread

#: Up to so many different values have a group each; more are grouped by the power of two.
FEW = 16
#: So many different values are counted one by one.
MANY = 3 << 12
#: Durations of a group are kept one by one up to so many.
KEPT = 1 << 12
SKETCH_BITS = 14

_POWERS = np.array([1 << k for k in range(64)], np.uint64)


@dataclass
class Register:
    """`values`, ascending, read as their type, and how often each came up, too low by at most `missed`.

    Where there were too many, some that were rare are not among them, and `sketch` (registers of a
    HyperLogLog) and `spread` stand for all. `groups` are durations by value, or `by_octave`: see `octave_of`.
    """

    count: int
    total: int  # sum of the values
    least: int
    greatest: int
    values: Values
    counts: Ints
    groups: dict[int, Spread]
    by_octave: bool
    missed: int = 0
    sketch: NDArray[np.uint8] | None = None
    spread: Spread = field(default_factory=Spread)

    @property
    def exact(self) -> bool:
        return self.sketch is None and all(group.exact for group in self.groups.values())

    @property
    def different(self) -> int:
        """The number of different values: from a sketch an estimate, off by 0.8 % in the mean."""
        if self.sketch is None:
            return len(self.values)
        return max(round(_cardinality(self.sketch)), len(self.values))

    @property
    def median(self) -> int:
        """By nearest rank; within 0.4 % where the values are in buckets."""
        if not self.spread.exact:
            return self.spread.percentiles([500], self.least, self.greatest)[0]
        place = np.searchsorted(np.cumsum(self.counts), (self.count * 500 + 999) // 1000)
        return int(self.values[place])

    def top(self, most: int) -> list[tuple[int, int]]:
        """The most frequent values, most frequent first, and their counts."""
        frequent = np.argsort(-self.counts, kind="stable")[:most]
        return [(int(self.values[place]), int(self.counts[place])) for place in frequent]

    @staticmethod
    def merged(parts: Sequence[Register]) -> Register:
        """The register in all `parts` together."""
        if len(parts) == 1:
            return parts[0]
        counter = Counter()
        for part in parts:
            counter.merge(part.values, part.counts)
        values, counts = counter.keys, counter.counts
        missed = sum(part.missed for part in parts)
        sketches = [part.sketch for part in parts if part.sketch is not None]
        spread = Spread()
        sketch = None
        if sketches or len(values) > MANY:
            sketches += [sketch_of(part.values) for part in parts if part.sketch is None]
            sketch = np.maximum.reduce(sketches)
            spread = Spread.merged([part._buckets() for part in parts], 0)
        if len(values) > MANY:
            less = int(np.partition(counts, -MANY)[-MANY])
            missed += less
            values, counts = values[counts > less], counts[counts > less] - less
        by_octave = len(values) > FEW or any(part.by_octave for part in parts)
        groups: dict[int, list[Spread]] = {}
        for part in parts:
            for key, group in part.groups.items():
                if by_octave and not part.by_octave:
                    key = int(octave_of(np.array([key], part.values.dtype))[0])
                groups.setdefault(key, []).append(group)
        return Register(
            count=sum(part.count for part in parts),
            total=sum(part.total for part in parts),
            least=min(part.least for part in parts),
            greatest=max(part.greatest for part in parts),
            values=values,
            counts=counts,
            groups={key: Spread.merged(some, KEPT) for key, some in groups.items()},
            by_octave=by_octave,
            missed=missed,
            sketch=sketch,
            spread=spread,
        )

    def _buckets(self) -> Spread:
        if self.sketch is not None:
            return self.spread
        counter = Counter()
        counter.merge(signed_bucket_of(self.values), self.counts)
        return Spread(bucket=counter.keys.astype(np.int64), counts=counter.counts)


def octave_of(value: NDArray[Any]) -> Ints:
    """0 for 0, k for 2^(k-1) … 2^k - 1, -k for their negatives."""
    negative = value < 0
    bits = value.view(np.uint64)
    # In two's complement this is the magnitude, also of -2^63.
    magnitude = np.where(negative, ~bits + np.uint64(1), bits)
    octave = np.searchsorted(_POWERS, magnitude, side="right")
    return np.where(negative, -octave, octave).astype(np.int64)


def octave_bounds(octave: int) -> tuple[int, int]:
    """The least and the greatest value of an octave, both included."""
    if octave == 0:
        return 0, 0
    low, high = 1 << (abs(octave) - 1), (1 << abs(octave)) - 1
    return (low, high) if octave > 0 else (-high, -low)


def _cardinality(sketch: NDArray[np.uint8]) -> float:
    """How many different values a HyperLogLog has seen: the improved estimator of Ertl (2017), which has no
    bias where they are about as many as its registers.
    """
    size, highest = len(sketch), 64 - SKETCH_BITS
    count = np.bincount(sketch, minlength=highest + 2).tolist()
    total = size * _tau(1 - count[highest + 1] / size)
    for rank in range(highest, 0, -1):
        total = 0.5 * (total + count[rank])
    total += size * _sigma(count[0] / size)
    return size**2 / (2 * log(2) * total)


def _sigma(x: float) -> float:
    if x == 1:
        return inf
    weight, total, before = 1.0, x, -1.0
    while total != before:
        x, before = x * x, total
        total += x * weight
        weight *= 2
    return total


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    weight, total, before = 1.0, 1 - x, -1.0
    while total != before:
        x, before = sqrt(x), total
        weight /= 2
        total -= (1 - x) ** 2 * weight
    return total / 3


def sketch_of(values: Values) -> NDArray[np.uint8]:
    """The HyperLogLog of values, as walk/registers.c makes it."""
    hashed: Addresses = values.view(np.uint64).copy()
    with np.errstate(over="ignore"):
        hashed ^= hashed >> np.uint64(33)
        hashed *= np.uint64(0xFF51AFD7ED558CCD)
        hashed ^= hashed >> np.uint64(33)
        hashed *= np.uint64(0xC4CEB9FE1A85EC53)
        hashed ^= hashed >> np.uint64(33)
    rest = hashed << np.uint64(SKETCH_BITS) | np.uint64(1 << (SKETCH_BITS - 1))
    rank = (65 - np.searchsorted(_POWERS, rest, side="right")).astype(np.uint8)
    sketch = np.zeros(1 << SKETCH_BITS, np.uint8)
    np.maximum.at(sketch, (hashed >> np.uint64(64 - SKETCH_BITS)).astype(np.int64), rank)
    return sketch
