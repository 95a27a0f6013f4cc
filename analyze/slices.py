"""A stretch of time, cut into slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Ints


@dataclass(frozen=True)
class Slices:
    """From `start` to `end`, ns, in `count` slices of equal length but for rounding."""

    start: int
    end: int
    count: int

    @property
    def edges(self) -> Ints:
        """Where slices begin, and where the last one ends."""
        length = max(self.end - self.start, self.count)
        numbers = range(self.count + 1)
        return np.array([self.start + length * k // self.count for k in numbers], np.int64)

    def slice_of(self, moment: Ints) -> Ints:
        """In which slice moments lie; those outside of the span in the first or last."""
        found = np.searchsorted(self.edges, moment, side="right") - 1
        return np.clip(found, 0, self.count - 1).astype(np.int64)
