"""Log-linear buckets for counting values: exact below 256, then 128 to each power of two.

A bucket's bounds differ by less than 1/128, so that its middle is within 0.4 % of every value in it, and
histograms of parts add up to that of the whole. The bucket of a value is integer arithmetic: a logarithm
in floats is wrong at 0 and near powers of two.
"""

from __future__ import annotations

import numpy as np

from .arrays import Addresses, Ints

#: 2**BITS buckets to each power of two.
BITS = 7


def bucket_of(values: Ints | Addresses, bits: int = BITS) -> Ints:
    """The buckets of values, none negative: ascending with the value, 0 for 0. Coarser with fewer `bits`."""
    value = values.astype(np.uint64, copy=False)
    long = value >> np.uint64(53) != 0
    # A float holds 53 bits: what is longer loses bits here that no bucket tells apart, and is not rounded up.
    held = np.where(long, value & ~np.uint64(0x7FF), value) if long.any() else value
    # A float's exponent and the first `bits` of its fraction are the bucket, but for where they begin.
    found = (held.astype(np.float64).view(np.int64) >> (52 - bits)) - ((1022 + bits) << bits)
    few = value < np.uint64(1 << bits)
    found[few] = value[few].astype(np.int64)
    return found


def bounds_of(bucket: Ints, bits: int = BITS) -> tuple[Addresses, Addresses]:
    """The least and the greatest value of buckets, both included."""
    shift = np.maximum((bucket >> bits) - 1, 0)
    step = shift.astype(np.uint64)
    low = (bucket - (shift << bits)).astype(np.uint64) << step
    return low, low + ((np.uint64(1) << step) - np.uint64(1))


def coarser(bucket: Ints, bits: int, fewer: int) -> Ints:
    """The bucket with `fewer` bits that holds each of these buckets, which have `bits`; signed ones too."""
    found = bucket_of(bounds_of(np.abs(bucket), bits)[0], fewer)
    return np.where(bucket < 0, -found, found)


def signed_bucket_of(values: Ints | Addresses, bits: int = BITS) -> Ints:
    """The bucket of the magnitude, negative for values below 0."""
    if values.dtype != np.int64:
        return bucket_of(values, bits)
    pattern = values.view(np.uint64)
    # In two's complement this is the magnitude, also of -2^63.
    found = bucket_of(np.where(values < 0, ~pattern + np.uint64(1), pattern), bits)
    return np.where(values < 0, -found, found)


def signed_bounds(bucket: int, bits: int = BITS) -> tuple[int, int]:
    """The least and the greatest value of a bucket as `signed_bucket_of` gives it, both included."""
    low, high = (int(bound[0]) for bound in bounds_of(np.array([abs(bucket)]), bits))
    return (-high, -low) if bucket < 0 else (low, high)
