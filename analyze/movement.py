"""Whether calls take longer in one sample than in another, by more than noise gives.

A call's duration is noisy in two ways. Calls that follow each other are alike, as a busy machine slows
down many in a row: so the variance of a share of calls is taken from blocks of consecutive calls, where
that is more than single calls would give. What counts is by how much neighbouring blocks differ (J. von
Neumann, Ann. Math. Stat. 12, 1941), as a program has phases, which are no noise. And recordings of the same
program differ, by what its probes cost that time, and by what interrupted it: so what must be beyond chance
is not that durations differ at all, but that some share of the calls moved by some factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .arrays import Ints
from .blocks import Blocks
from .loglinear import bounds_of, bucket_of

#: Calls have moved if their durations differ by this share,
LEAST_SHIFT = 0.1
#: and by this much.
LEAST_NS = 250
#: It takes more than this share of the calls to make a difference.
LEAST_SHARE = 0.1
#: Fewer calls on either side prove nothing.
ENOUGH = 8
#: The share is looked at above so many durations. They pay for it: the best of many looks good by chance.
_LOOKS = 50

_Table = tuple[Ints, Ints, Ints]


@dataclass(frozen=True)
class Movement:
    """`share` of the calls take longer, or below 0 less long, by LEAST_SHIFT and LEAST_NS or more;
    `p_value`: how likely chance gives such a share, or a greater one, where no more than LEAST_SHARE moved.
    """

    share: float
    p_value: float


def movement(first: Blocks, second: Blocks) -> Movement | None:
    """How durations moved from the first sample to the second; None where there are too few to tell."""
    if min(first.calls, second.calls) < ENOUGH:
        return None
    one, two = first.table(), second.table()
    later, sooner = _growth(one, two), _growth(two, one)
    if sooner.p_value < later.p_value:
        return Movement(-sooner.share, min(1.0, 2 * sooner.p_value))
    return Movement(later.share, min(1.0, 2 * later.p_value))


def _growth(before: _Table, after: _Table) -> Movement:
    """By how much more calls are above some duration after than were above a shorter one before."""
    best = Movement(0.0, 1.0)
    looks = _looks(before[1], before[2], after[1], after[2])
    durations = bounds_of(looks)[1].astype(np.float64)
    longer = np.maximum(durations * (1 + LEAST_SHIFT), durations + LEAST_NS)
    for low, high in zip(looks.tolist(), bucket_of(longer.astype(np.uint64)).tolist(), strict=True):
        share_before, variance_before, blocks_before = _above(before, low)
        share_after, variance_after, blocks_after = _above(after, high)
        sizes = int(before[2].sum()), int(after[2].sum())
        pooled = (share_before * sizes[0] + share_after * sizes[1]) / sum(sizes)
        by_call = pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1])
        variance = max(by_call, variance_before + variance_after)
        beyond = share_after - share_before - LEAST_SHARE
        if beyond > 0 and variance > 0:
            p_value = one_sided(beyond / math.sqrt(variance), blocks_before + blocks_after - 2)
            if p_value < best.p_value:
                best = Movement(share_after - share_before, p_value)
    return Movement(best.share, min(1.0, best.p_value * len(looks)))


def _looks(*buckets_and_counts: Ints) -> Ints:
    """Buckets that divide the calls of both samples evenly."""
    buckets = np.concatenate(buckets_and_counts[0::2])
    counts = np.concatenate(buckets_and_counts[1::2])
    order = np.argsort(buckets, kind="stable")
    until = np.cumsum(counts[order])
    wanted = (np.arange(_LOOKS) + 0.5) / _LOOKS * until[-1]
    return np.unique(buckets[order][np.searchsorted(until, wanted)])


def _above(table: _Table, bucket: int) -> tuple[float, float, int]:
    """The share of the calls above a bucket, the variance of that, and how many blocks there are."""
    block, buckets, count = table
    sizes = np.bincount(block, count)
    above = np.bincount(block, np.where(buckets > bucket, count, 0))
    total = sizes.sum()
    share = above.sum() / total
    steps = np.diff(above / sizes)
    variance = float((steps**2).mean()) / 2 / len(sizes)
    return float(share), variance, len(sizes)


def one_sided(t: float, freedom: int) -> float:
    """P(T >= t) of Student's t, t > 0, by D. L. Wallace's approximation (Ann. Math. Stat. 30, 1959)."""
    n = freedom
    z = (8 * n + 1) / (8 * n + 3) * math.sqrt(n * math.log1p(t * t / n))
    return math.erfc(z / math.sqrt(2)) / 2


def holm(p_values: list[float]) -> list[float]:
    """P values corrected for their number (S. Holm, Scand. J. Stat. 6, 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [0.0] * len(p_values)
    greatest = 0.0
    for place, index in enumerate(order):
        greatest = max(greatest, min(1.0, p_values[index] * (len(p_values) - place)))
        corrected[index] = greatest
    return corrected
