"""Calls by stack: the functions from a root down to the call, as flame graphs and pprof count them."""

from __future__ import annotations

import numpy as np

from ..arrays import Ints
from ..paths import Paths
from .source import Source

#: A stack has at most so many functions. Each line of a folded file holds a whole stack, so that a recursion
#: 100,000 deep would take gigabytes.
DEEPEST = 1000


class Stacks:
    """The stacks of all chosen calls. Stack number i is `function[i]`, called at the end of the stack
    `caller[i]` (-1: nothing around it); numbers ascend from callers to callees.

    `calls[i]` counts the calls, whatever their status, `self_ns[i]` sums the time that complete ones took
    less the calls inside them.
    """

    def __init__(self, source: Source) -> None:
        paths = Paths(len(source.metadata["functions"]), DEEPEST)
        self.calls: Ints = np.zeros(0, np.int64)
        self.self_ns: Ints = np.zeros(0, np.int64)
        too_deep = 0
        for calls in source.batches("call_id", "parent_id", "depth", "function", "self_ns"):
            place = paths.place(calls)
            new = np.zeros(len(paths) - len(self.calls), np.int64)
            self.calls, self.self_ns = np.r_[self.calls, new], np.r_[self.self_ns, new]
            np.add.at(self.calls, place, 1)
            np.add.at(self.self_ns, place, calls["self_ns"].fill_null(0).to_numpy())
            too_deep += int((calls["depth"] >= DEEPEST).sum())
        self.caller, self.function = paths.parents, paths.functions
        if too_deep and max(paths.levels) == DEEPEST - 1:
            source.notes.append(
                f"{too_deep:,} calls are deeper than {DEEPEST:,} others, and count as the last of them"
            )

    def leaf_first(self, stack: int) -> list[int]:
        """The functions of a stack, from the callee to the root."""
        functions = []
        while stack >= 0:
            functions.append(self.function[stack])
            stack = self.caller[stack]
        return functions
