"""Where the time went by path of calls, without the paths that hardly count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from .arrays import Flags, Ints
from .paths import Paths

#: While calls come by, so many paths are held, before the smallest half of them goes.
HELD = 1 << 18


@dataclass(frozen=True)
class Tree:
    """Places of the calling-context tree, parents before children, one element of each array a place.

    `total` of a place is `own` and `hidden` and the totals of its children, ns: what calls took, what paths
    took that hang there and are not in the tree. `hidden_ns` is what such paths at no place took.
    `hidden_calls` counts the calls in them.
    """

    parent: Ints  # -1 at a root
    function: Ints
    level: Ints
    calls: Ints
    own: Ints
    hidden: Ints
    total: Ints
    hidden_ns: int
    hidden_calls: int

    @property
    def time(self) -> int:
        """All time in recorded functions, ns."""
        return int(self.total[self.parent < 0].sum()) + self.hidden_ns


class Flame:
    """Adds up calls by path, as they come by in order of (tgid, pid, start)."""

    def __init__(self, functions: int, held: int = HELD) -> None:
        self._paths = Paths(functions)
        self._held = held
        self._calls: Ints = np.zeros(0, np.int64)
        self._own: Ints = np.zeros(0, np.int64)
        self._hidden: Ints = np.zeros(0, np.int64)
        self._hidden_ns = 0
        self._hidden_calls = 0

    def add(self, calls: pl.DataFrame) -> None:
        """Count calls; they need what `Paths.place` does, and `self_ns`."""
        place = self._paths.place(calls)
        count = len(self._paths)
        self._calls = _grown(self._calls, count) + np.bincount(place, minlength=count)
        self._own, self._hidden = _grown(self._own, count), _grown(self._hidden, count)
        np.add.at(self._own, place, calls["self_ns"].fill_null(0).to_numpy())
        if count > self._held:
            total = self._total()
            self._forget(total > np.partition(total, count // 2)[count // 2])

    def tree(self, most: int, least_share: float) -> Tree:
        """The `most` greatest places, of those that have `least_share` of the time or more. Call it once."""
        total = self._total()
        time = int(total[np.array(self._paths.parents, np.int64) < 0].sum()) + self._hidden_ns
        wanted = total >= time * least_share
        if wanted.sum() > most:
            # Of equal ones the first, as parents come before children.
            wanted[np.argsort(-total, kind="stable")[most:]] = False
        self._forget(wanted)
        return Tree(
            parent=np.array(self._paths.parents, np.int64),
            function=np.array(self._paths.functions, np.int64),
            level=np.array(self._paths.levels, np.int64),
            calls=self._calls,
            own=self._own,
            hidden=self._hidden,
            total=self._total(),
            hidden_ns=self._hidden_ns,
            hidden_calls=self._hidden_calls,
        )

    def _total(self) -> Ints:
        return self._paths.totals(self._own + self._hidden)

    def _forget(self, wanted: Flags) -> None:
        """Count what is not wanted as hidden where it hung."""
        stays, nearest = self._paths.keep(wanted)
        gone = ~stays
        time = self._own + self._hidden
        hidden = self._hidden[stays]
        inside = gone & (nearest >= 0)
        np.add.at(hidden, nearest[inside], time[inside])
        self._hidden_ns += int(time[gone & (nearest < 0)].sum())
        self._hidden_calls += int(self._calls[gone].sum())
        self._calls, self._own, self._hidden = self._calls[stays], self._own[stays], hidden


def _grown(values: Ints, count: int) -> Ints:
    grown: Ints = np.r_[values, np.zeros(count - len(values), np.int64)]
    return grown
