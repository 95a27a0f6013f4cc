"""Paths of functions: which place in the calling-context tree each call belongs to, part by part."""

from __future__ import annotations

import numpy as np
import polars as pl

from .arrays import Flags, Ints


class Paths:
    """Numbers the paths that calls took, as the calls come by in order.

    Recursion is folded: a function stands on a path once, and a call of one that is already on its path,
    whether direct or mutual recursion, is at that earlier place. With `deepest` it is not; paths are then
    as long as the stack was, and a call that is too deep is at the place where its path was cut. A call whose
    caller has not come by is at a root. Places are numbered from 0, parents before children; `parents` has -1
    at a root, `levels` 0.
    """

    def __init__(self, functions: int, deepest: int | None = None) -> None:
        """`functions`: how many there are; `deepest`: how many stand on a path at most."""
        self._kinds = max(functions, 1)
        self._deepest = deepest
        self.parents: list[int] = []
        self.functions: list[int] = []
        self.levels: list[int] = []
        self._known: dict[int, int] = {}
        # The last call and those around it: callers of what comes next are among them.
        self._ids: Ints = np.zeros(0, np.int64)
        self._places: Ints = np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self.parents)

    def place(self, calls: pl.DataFrame) -> Ints:
        """The place of each of `calls`, the next in order of (tgid, pid, start).

        They need `call_id`, `parent_id`, `depth` and `function`.
        """
        if not len(calls):
            return np.zeros(0, np.int64)
        before = len(self._ids)
        ids = np.r_[self._ids, calls["call_id"].cast(pl.Int64).to_numpy()]
        caller = rows_of(ids, calls["parent_id"].cast(pl.Int64).fill_null(-1).to_numpy())
        place = np.r_[self._places, np.full(len(calls), -1, np.int64)]
        function = calls["function"].to_numpy().astype(np.int64)
        depth = calls["depth"].to_numpy()
        order = np.argsort(depth.astype(np.uint16) if int(depth.max()) < 1 << 16 else depth, kind="stable")
        bounds = np.flatnonzero(np.r_[True, np.diff(depth[order]) != 0, True])
        for low, high in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            here = order[low:high]
            above = np.where(caller[here] >= 0, place[caller[here]], -1)
            keys, which = _distinct((above + 1) * self._kinds + function[here])
            found = [self._find(key) for key in keys.tolist()]
            place[before + here] = np.array(found, np.int64)[which]
        self._remember(ids, np.r_[np.arange(-1, before - 1), caller], place)
        found_here: Ints = place[before:]
        return found_here

    def totals(self, values: Ints) -> Ints:
        """The sum of `values`, one a place, over each place and all below it."""
        total = values.copy()
        level = np.array(self.levels, np.int64)
        parent = np.array(self.parents, np.int64)
        order = np.argsort(level, kind="stable")
        bounds = np.flatnonzero(np.r_[True, np.diff(level[order]) != 0, True])
        # From the deepest level up; the first has no parents.
        for low, high in reversed(list(zip(bounds[1:-1].tolist(), bounds[2:].tolist(), strict=True))):
            here = order[low:high]
            np.add.at(total, parent[here], total[here])
        return total

    def keep(self, wanted: Flags) -> tuple[Flags, Ints]:
        """Forget the places that are not `wanted`, but for those that are on the way to one that is, or
        that the last call is in. For each old place: whether it is kept; and the new number of the nearest
        one that is, itself or around it, -1 where none is.
        """
        stay = wanted.copy()
        stay[self._places] = True
        for place in range(len(stay) - 1, -1, -1):
            if stay[place] and self.parents[place] >= 0:
                stay[self.parents[place]] = True
        number = np.where(stay, np.cumsum(stay) - 1, -1)
        kept = np.flatnonzero(stay).tolist()
        new: list[int] = number.tolist()
        for place, parent in enumerate(self.parents):
            if new[place] < 0 <= parent:
                new[place] = new[parent]
        known = {}
        for key, place in self._known.items():
            above, function = key // self._kinds - 1, key % self._kinds
            if stay[place] and (above < 0 or stay[above]):
                known[(0 if above < 0 else new[above] + 1) * self._kinds + function] = new[place]
        self._known = known
        self.parents = [-1 if self.parents[p] < 0 else new[self.parents[p]] for p in kept]
        self.functions = [self.functions[p] for p in kept]
        self.levels = [self.levels[p] for p in kept]
        nearest = np.array(new, np.int64)
        self._places = nearest[self._places]
        return stay, nearest

    def _find(self, key: int) -> int:
        """The place of a function called at a place, both in `key`."""
        place = self._known.get(key)
        if place is None:
            parent, called = key // self._kinds - 1, key % self._kinds
            place = parent
            if self._deepest is None:
                while place >= 0 and self.functions[place] != called:
                    place = self.parents[place]
            elif place < 0 or self.levels[place] + 1 < self._deepest:
                place = -1
            if place < 0:
                place = len(self.parents)
                self.parents.append(parent)
                self.functions.append(called)
                self.levels.append(self.levels[parent] + 1 if parent >= 0 else 0)
            self._known[key] = place
        return place

    def _remember(self, ids: Ints, caller: Ints, place: Ints) -> None:
        rows = around_last(caller)
        self._ids, self._places = ids[rows], place[rows]


def around_last(caller: Ints) -> list[int]:
    """The last row and its callers, outermost first; `caller` is each row's, -1 at a root."""
    rows = []
    row = len(caller) - 1
    while row >= 0:
        rows.append(row)
        row = int(caller[row])
    rows.reverse()
    return rows


def rows_of(ids: Ints, wanted: Ints) -> Ints:
    """Where `wanted` stand in `ids`, which ascend; -1 where they don't."""
    row = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
    return np.where(ids[row] == wanted, row, -1).astype(np.int64)


def _distinct(keys: Ints) -> tuple[Ints, Ints]:
    """`np.unique` with the inverse; a table instead of a sort where the keys are small."""
    limit = int(keys.max()) + 1
    if limit > max(1 << 16, 4 * len(keys)):
        values, inverse = np.unique(keys, return_inverse=True)
        return values, inverse
    used = np.zeros(limit, np.bool_)
    used[keys] = True
    values = np.flatnonzero(used)
    number = np.zeros(limit, np.int64)
    number[values] = np.arange(len(values))
    return values, number[keys]
