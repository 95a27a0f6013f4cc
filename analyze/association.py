"""Which condition on a value best separates slow calls from the others, and whether that may be chance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .arrays import Ints


@dataclass(frozen=True)
class Condition:
    """That a value is in the groups from `first` to `last`, both included. It holds for `calls` calls, `slow`
    of them slow; `tried` conditions were looked at to find it.
    """

    first: int
    last: int
    calls: int
    slow: int
    tried: int
    all_calls: int
    all_slow: int

    @property
    def separation(self) -> float:
        """The share of the slow calls that it holds for, less that of the others (Youden's J)."""
        others = self.all_calls - self.all_slow
        return self.slow / self.all_slow - (self.calls - self.slow) / others

    @property
    def explained(self) -> float:
        """The share of the slow calls that would not be slow, were they so as rarely as where it does not
        hold.
        """
        rest = self.all_calls - self.calls
        rate = (self.all_slow - self.slow) / rest if rest else 0.0
        return max(0.0, (self.slow - self.calls * rate) / self.all_slow)

    @property
    def p_value(self) -> float:
        """How likely chance makes it hold for as many slow calls; not corrected for what was tried."""
        return at_least(self.slow, self.all_calls, self.all_slow, self.calls)


def best_value(calls: Ints, slow: Ints) -> Condition:
    """The best condition of the form: the value is this one."""
    return _best(np.arange(len(calls)), np.arange(len(calls)), calls, slow)


def best_range(calls: Ints, slow: Ints) -> Condition:
    """The best one of the form: the value is at least this, or at most this, or this one; of equally good
    ones the one that holds for fewer calls.
    """
    every = np.arange(len(calls))
    first, last = np.zeros_like(every), np.full_like(every, len(calls) - 1)
    return _best(np.r_[every, every, first], np.r_[every, last, every], calls, slow)


def best_window(calls: Ints, slow: Ints) -> Condition:
    """The best one of the form: the value is between two."""
    first, last = np.triu_indices(len(calls))
    return _best(first, last, calls, slow)


def _best(first: Ints, last: Ints, calls: Ints, slow: Ints) -> Condition:
    until_calls, until_slow = np.r_[0, np.cumsum(calls)], np.r_[0, np.cumsum(slow)]
    n, s = until_calls[last + 1] - until_calls[first], until_slow[last + 1] - until_slow[first]
    all_calls, all_slow = int(until_calls[-1]), int(until_slow[-1])
    separation = s / all_slow - (n - s) / (all_calls - all_slow)
    place = int(np.lexsort((n, -np.round(separation, 9)))[0])
    return Condition(
        int(first[place]), int(last[place]), int(n[place]), int(s[place]), len(first), all_calls, all_slow
    )


def at_least(found: int, population: int, marked: int, drawn: int) -> float:
    """The chance of `found` or more of the `marked` among `drawn` of a `population`: Fisher's exact test."""
    most = min(marked, drawn)
    if found <= max(0, marked + drawn - population):
        return 1.0
    log = _choose(marked, found) + _choose(population - marked, drawn - found) - _choose(population, drawn)
    term, total = 1.0, 1.0
    for k in range(found, most):
        term *= (marked - k) * (drawn - k) / ((k + 1) * (population - marked - drawn + k + 1))
        total += term
        # Past the mean terms fall faster than those of a geometric series.
        if term < total * 1e-12:
            break
    return min(1.0, math.exp(log + math.log(total)))


def _choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
