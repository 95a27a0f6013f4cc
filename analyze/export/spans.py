"""Calls as spans that nest: what a timeline can draw, with a begin and an end for each call.

Where a thread switches stacks (coroutines), a call can outlast the one that it began in. Such a call, and
what runs inside it, goes to another *lane* of the thread, so that within a lane spans always nest and no
duration is changed.

A call one side of which is missing is drawn for as long as it is known to have run: from its first to its
last event, or the last of a call inside it; if it was open when the recording ended, until then. One that is
known by its entry alone is drawn 1 ns wide: a reader would not find it inside its caller otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from ..arrays import Flags, Ints

#: What `spans` needs of a batch.
NEEDS = ("call_id", "parent_id", "process", "tgid", "pid", "depth", "start", "end", "status")

_NEVER = 2**63 - 1

#: A call on its lane: row, depth, end (None where not seen), and when it is over at the latest.
_Running = tuple[int, int, int | None, int]


@dataclass
class Spans:
    """A batch of calls, drawn.

    `calls` are those of the batch, after the ones of earlier batches that had not ended there. `steps` are
    the begins and ends that fall into this batch, per lane in order: a call's row, and `~row` at its end.
    `lane`, `begin` and `end` have a value for each row; `end` (ns) holds where the end is among `steps`.
    """

    calls: pl.DataFrame
    steps: Ints
    lane: Ints
    begin: Ints
    end: Ints


def spans(batches: Iterable[pl.DataFrame], ended_ns: int) -> Iterator[Spans]:
    """Draw calls that come thread by thread, in order of their first event; `ended_ns`: of the recording.

    They can be some of all calls, as `Selection` chooses them: where a call is chosen, so are those around it
    up to one that runs in none that is.
    """
    lanes = _Lanes(ended_ns)
    waiting: pl.DataFrame | None = None
    for batch in batches:
        calls = batch if waiting is None else pl.concat([waiting, batch])
        yield lanes.add(calls)
        waiting = calls[lanes.suspend()]
    if waiting is not None and len(waiting):
        yield lanes.add(waiting, last=True)


class _Lanes:
    """The lanes of the thread at hand, each a stack of the calls that run on it."""

    def __init__(self, ended_ns: int) -> None:
        self._ended = ended_ns
        #: Process and ids: these can come again.
        self._thread: tuple[int | None, int, int] | None = None
        self._stacks: list[list[_Running]] = [[]]
        #: By id, a byte each.
        self._chosen: Flags = np.zeros(1, np.bool_)
        # Of the rows that come first in the next batch.
        self._lane: list[int] = []
        self._known: list[int] = []

    def add(self, calls: pl.DataFrame, *, last: bool = False) -> Spans:
        """Draw what comes after the rows that are known from before; with `last` all calls end."""
        first = len(self._lane)
        begin = calls.select(pl.coalesce("start", "end")).to_series().to_list()
        ends = pl.when(pl.col("end").is_not_null()).then(pl.max_horizontal("start", "end"))
        self._begin, self._end = begin, [0] * len(calls)
        self._open = (calls["status"].cast(pl.String) == "open").to_list()
        #: When each call was last known to run.
        self._known += begin[first:]
        self._lane += [0] * (len(calls) - first)
        self._steps: list[int] = []
        rows = zip(
            range(first, len(calls)),
            calls.select("process", "tgid", "pid").slice(first).rows(),
            self._depths(calls.slice(first)),
            begin[first:],
            calls.select(ends).to_series().slice(first).to_list(),
            strict=True,
        )
        stacks = self._stacks
        for row, thread, depth, at, end in rows:
            if thread != self._thread:
                self._leave_thread()
                self._thread = thread
            for stack in stacks:
                while stack and _over(stack[-1], depth, at):
                    self._close(stack, at)
            until = at if end is None else end
            stack = stacks[0]
            if len(stacks) > 1 or (stack and stack[-1][3] < until):
                stack = self._choose(row, until)
            limit = end if end is not None else stack[-1][3] if stack else _NEVER
            stack.append((row, depth, end, limit))
            self._steps.append(row)
        if last:
            self._leave_thread()
        return Spans(
            calls,
            np.array(self._steps, np.int64),
            np.array(self._lane, np.int64),
            np.array(begin, np.int64),
            np.array(self._end, np.int64),
        )

    def _depths(self, calls: pl.DataFrame) -> list[int]:
        """How deep calls are; 0 for those whose caller was not chosen: all that came before is over then."""
        ids = calls["call_id"].to_numpy().astype(np.int64)
        parents = calls["parent_id"].cast(pl.Int64).fill_null(-1).to_numpy()
        if len(ids) and ids[-1] >= len(self._chosen):
            more = np.zeros(max(len(self._chosen), int(ids[-1]) + 1), np.bool_)
            self._chosen = np.r_[self._chosen, more]
        self._chosen[ids] = True
        there = (parents >= 0) & self._chosen[parents]
        depths: list[int] = np.where(there, calls["depth"].to_numpy(), 0).tolist()
        return depths

    def suspend(self) -> list[int]:
        """The rows that still run; they come first in the next batch, in this order."""
        rows = [row for stack in self._stacks for row, *_ in stack]
        self._lane = [self._lane[row] for row in rows]
        self._known = [self._known[row] for row in rows]
        number = 0
        for stack in self._stacks:
            for place, (_, depth, end, limit) in enumerate(stack):
                stack[place] = (number, depth, end, limit)
                number += 1
        return rows

    def _close(self, stack: list[_Running], at: int) -> None:
        """End the innermost call of a lane; `at`: what comes next on the thread, `_NEVER` for nothing."""
        row, _, end, limit = stack.pop()
        if end is None:
            end = self._known[row]
            if at == _NEVER and self._open[row]:
                end = max(end, min(limit, self._ended))
            elif end == self._begin[row]:
                end = max(end, min(end + 1, limit, at))
        self._end[row] = end
        if stack:
            around = stack[-1][0]
            self._known[around] = max(self._known[around], end)
        self._steps.append(~row)

    def _choose(self, row: int, until: int) -> list[_Running]:
        """The lane whose innermost call holds one that runs until then, the last begun; else a free one."""
        fitting = [stack for stack in self._stacks if stack and stack[-1][3] >= until]
        stack = max(fitting, key=lambda stack: self._begin[stack[-1][0]], default=None)
        if stack is None:
            stack = next((stack for stack in self._stacks if not stack), None)
        if stack is None:
            stack = []
            self._stacks.append(stack)
        self._lane[row] = self._stacks.index(stack)
        return stack

    def _leave_thread(self) -> None:
        for stack in self._stacks:
            while stack:
                self._close(stack, _NEVER)
        del self._stacks[1:]


def _over(running: _Running, depth: int, at: int) -> bool:
    """Whether a call has ended when one of `depth` begins `at`.

    Where both are at the same time the depth tells whether the later one is inside.
    """
    _, own, end, limit = running
    return limit < at or (own >= depth and (end is None or end <= at))
