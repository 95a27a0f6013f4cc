"""The buckets of histograms: exact bounds, no gaps, and parts that add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funcsnoop.analyze.loglinear import BITS, bounds_of, bucket_of, coarser

EDGES = [2**k + d for k in range(2, 64) for d in (-1, 0, 1)] + [2**64 - 1]


@pytest.mark.parametrize("bits", [0, 1, 3, BITS, 12])
def test_every_value_lies_in_its_bucket(bits: int) -> None:
    values = np.array(sorted({*range(70_000), *EDGES}), np.uint64)
    buckets = bucket_of(values, bits)
    low, high = bounds_of(buckets, bits)
    assert ((low <= values) & (values <= high)).all()
    assert (np.diff(buckets) >= 0).all()


@pytest.mark.parametrize("bits", [0, 1, 3, BITS])
def test_buckets_leave_no_gap(bits: int) -> None:
    last = int(bucket_of(np.array([2**64 - 1], np.uint64), bits)[0])
    low, high = bounds_of(np.arange(last + 1), bits)
    assert low[0] == 0
    assert high[-1] == 2**64 - 1
    assert (low[1:] == high[:-1] + np.uint64(1)).all()
    assert ((high - low).astype(np.float64) <= np.maximum(low, 1) / (1 << bits)).all()


def test_small_values_are_exact() -> None:
    low, high = bounds_of(bucket_of(np.arange(256)))
    assert low.tolist() == high.tolist() == list(range(256))


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.integers(0, BITS))
def test_coarser_buckets_are_unions(values: list[int], fewer: int) -> None:
    array = np.array(values, np.uint64)
    assert coarser(bucket_of(array), BITS, fewer).tolist() == bucket_of(array, fewer).tolist()


def test_durations_are_signed_integers() -> None:
    assert bucket_of(np.array([0, 2**63 - 1], np.int64)).tolist()[0] == 0
