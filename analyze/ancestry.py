"""Who called a call, while calls come by part by part: only those around the last one are kept."""

from __future__ import annotations

import numpy as np
import polars as pl

from .arrays import Ints
from .paths import rows_of


class Ancestry:
    """The callers of the calls that came last."""

    def __init__(self) -> None:
        self._ids: Ints = np.zeros(0, np.int64)
        self._functions: Ints = np.zeros(0, np.int64)
        self._caller: Ints = np.zeros(0, np.int64)

    def add(self, calls: pl.DataFrame) -> None:
        """The next of the calls, in order of (tgid, pid, start): `call_id`, `parent_id`, `function`."""
        kept = self._way_to(len(self._ids) - 1)
        ids = np.r_[self._ids[kept], calls["call_id"].cast(pl.Int64).to_numpy()]
        functions = np.r_[self._functions[kept], calls["function"].cast(pl.Int64).to_numpy()]
        parents = calls["parent_id"].cast(pl.Int64).fill_null(-1).to_numpy()
        # Each of those kept was called by the one before it.
        self._caller = np.r_[np.arange(-1, len(kept) - 1), rows_of(ids, parents)]
        self._ids, self._functions = ids, functions

    def callers(self, call_id: int) -> list[int]:
        """The functions around a call of the last part, from the root."""
        row = int(np.searchsorted(self._ids, call_id))
        found: list[int] = self._functions[self._way_to(row)[:-1]].tolist()
        return found

    def _way_to(self, row: int) -> list[int]:
        """The rows from the root to `row`; none for -1."""
        way = []
        while row >= 0:
            way.append(row)
            row = int(self._caller[row])
        return way[::-1]
