"""Count keys as they come by, keeping one number for each key that came."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import Ints

#: Integers, signed or not.
Keys = NDArray[Any]


class Counter:
    """`keys`, ascending, and how often each came up, `counts`. What holds is the number of keys, however
    many are added.
    """

    def __init__(self) -> None:
        self.keys: Keys = np.zeros(0, np.int64)
        self.counts: Ints = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def add(self, keys: Keys) -> None:
        """Count each of `keys` once."""
        found, counts = np.unique(keys, return_counts=True)
        self.merge(found, counts.astype(np.int64))

    def merge(self, keys: Keys, counts: Ints) -> None:
        """Count each of `keys` as often as `counts` says."""
        if len(self.keys):
            keys, counts = np.concatenate([self.keys, keys]), np.concatenate([self.counts, counts])
        self.keys, place = np.unique(keys, return_inverse=True)
        self.counts = np.zeros(len(self.keys), np.int64)
        np.add.at(self.counts, place, counts)

    def rekey(self, keys: Keys) -> None:
        """Put the counts under other keys, one for each old one; those that become equal add up."""
        counts, self.keys, self.counts = self.counts, keys[:0], self.counts[:0]
        self.merge(keys, counts)
