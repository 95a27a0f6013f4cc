"""A stretch of time, cut into slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..analyze.arrays import Ints


@dataclass(frozen=True)
class Span:
    """From `start` to `end`, ns, in `slices` of equal length but for rounding."""

    start: int
    end: int
    slices: int

    @property
    def edges(self) -> Ints:
        """Where slices begin, and where the last one ends."""
        length = max(self.end - self.start, self.slices)
        numbers = range(self.slices + 1)
        return np.array([self.start + length * k // self.slices for k in numbers], np.int64)

    def slice_of(self, moment: Ints) -> Ints:
        """In which slice moments lie; those outside of the span in the first or last."""
        found = np.searchsorted(self.edges, moment, side="right") - 1
        return np.clip(found, 0, self.slices - 1).astype(np.int64)
