"""Percentiles by nearest rank: the p-th is the ceil(p·n)-th smallest of n values, always one of them."""

from __future__ import annotations

import numpy as np

from .arrays import Ints

#: Percentiles as per mille, so that ranks are integer arithmetic: 0.999 · 1000 is not 999 in floats.
PERCENTILES = {"p50": 500, "p90": 900, "p95": 950, "p99": 990, "p999": 999}


def rank(count: Ints, per_mille: int) -> Ints:
    """The index, from 0, of the percentile among `count` sorted values, at least one each."""
    return (count * per_mille + 999) // 1000 - 1


def sort_within(group: Ints, value: Ints) -> tuple[Ints, Ints]:
    """Sort values, none negative, by (group, value). Groups are numbered from 0.

    Returns the sorted values and where each of the groups 0 … max begins, with the end at the end.
    One packed integer sorts several times faster than two keys; values past its room take two.
    """
    sizes = np.bincount(group) if len(group) else np.zeros(0, np.int64)
    starts = np.r_[0, np.cumsum(sizes)].astype(np.int64)
    if not len(value):
        return value, starts
    value_bits = int(value.max()).bit_length()
    if int(value.min()) >= 0 and value_bits + int(group.max()).bit_length() <= 63:
        key = (group.astype(np.int64) << value_bits) | value
        key.sort()
        return key & ((1 << value_bits) - 1), starts
    return value[np.lexsort((value, group))], starts
